//! How alike texts are: what says the same again and again has drifted into sameness, however good each is (S129).

use std::collections::{HashMap, HashSet};

/// The words of a text, in lower case, without punctuation.
fn words(text: &str) -> Vec<String> {
    let split = text.split(|c: char| !c.is_alphanumeric());
    split.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// Distinct-n: different runs of `n` words over all runs of `n` words, in (0, 1] (Li, Galley, Brockett, Gao and Dolan,
/// NAACL 2016). It falls as texts repeat themselves and each other; it also falls with the number of texts, so compare as
/// many with as many. `None` without such a run.
pub fn distinct_n<T: AsRef<str>>(texts: &[T], n: usize) -> Option<f64> {
    let texts: Vec<Vec<String>> = texts.iter().map(|text| words(text.as_ref())).collect();
    let runs = || texts.iter().flat_map(|words| words.windows(n.max(1)));
    let all = runs().count();
    (all > 0).then(|| runs().collect::<HashSet<_>>().len() as f64 / all as f64)
}

/// Shingle self-similarity: the mean over all pairs of texts of the share of their runs of `n` words that they have in
/// common, in [0, 1] (the resemblance of Broder, "On the resemblance and containment of documents", 1997). A text of fewer
/// words is one run. `None` with fewer than two texts that have words.
pub fn self_similarity<T: AsRef<str>>(texts: &[T], n: usize) -> Option<f64> {
    let texts: Vec<Vec<String>> =
        texts.iter().map(|text| words(text.as_ref())).filter(|text| !text.is_empty()).collect();
    let runs = |words: &'_ Vec<String>| -> HashSet<Vec<String>> {
        words.windows(n.clamp(1, words.len())).map(<[String]>::to_vec).collect()
    };
    let shingles: Vec<HashSet<Vec<String>>> = texts.iter().map(runs).collect();
    if shingles.len() < 2 {
        return None;
    }
    // Only pairs that have a run in common add anything.
    let mut holders: HashMap<&Vec<String>, Vec<usize>> = HashMap::new();
    for (at, runs) in shingles.iter().enumerate() {
        runs.iter().for_each(|run| holders.entry(run).or_default().push(at));
    }
    let mut common: HashMap<(usize, usize), usize> = HashMap::new();
    for texts in holders.values() {
        for (place, a) in texts.iter().enumerate() {
            texts[place + 1..].iter().for_each(|b| *common.entry((*a, *b)).or_default() += 1);
        }
    }
    let resemblance =
        |(a, b): &(usize, usize), both: &usize| *both as f64 / (shingles[*a].len() + shingles[*b].len() - both) as f64;
    // In one order, so that the same texts give the same last digit.
    let mut alike: Vec<((usize, usize), f64)> =
        common.iter().map(|(pair, both)| (*pair, resemblance(pair, both))).collect();
    alike.sort_unstable_by_key(|(pair, _)| *pair);
    let pairs = shingles.len() as f64 * (shingles.len() - 1) as f64 / 2.0;
    Some(alike.iter().map(|(_, resemblance)| resemblance).sum::<f64>() / pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetition_lowers_distinct_n() {
        assert_eq!(distinct_n(&["a b c d"], 1), Some(1.0));
        assert_eq!(distinct_n(&["Buy now!", "buy NOW"], 1), Some(0.5));
        assert_eq!(distinct_n(&["buy now today", "buy now"], 2), Some(2.0 / 3.0));
        assert_eq!((distinct_n(&["buy"], 2), distinct_n::<&str>(&[], 1)), (None, None));
    }

    #[test]
    fn texts_are_alike_by_the_runs_that_they_share() {
        assert_eq!(self_similarity(&["one two three", "one two three"], 2), Some(1.0));
        assert_eq!(self_similarity(&["one two three", "four five six"], 2), Some(0.0));
        // Of ab bc and bc cd one of three is common; the third text shares nothing: a third over three pairs.
        let three = self_similarity(&["a b c", "b c d", "x y z"], 2);
        assert!((three.unwrap_or_default() - 1.0 / 9.0).abs() < 1e-12);
        assert_eq!(self_similarity(&["hi", "hi"], 3), Some(1.0), "fewer words are one run");
        assert_eq!((self_similarity(&["a b", "!"], 2), self_similarity::<&str>(&[], 2)), (None, None));
    }
}
