//! Where the replicas of a service are.

use serde::Deserialize;

/// The URLs of a service: one, or one for each replica. A name that stands for several addresses is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Given")]
pub struct Addresses(Vec<String>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "must be a URL, or a list of URLs")]
enum Given {
    /// One, or several separated by commas, as an environment variable has them.
    Text(String),
    List(Vec<String>),
}

impl From<Given> for Addresses {
    fn from(given: Given) -> Self {
        let all = match given {
            Given::Text(text) => text.split(',').map(str::to_owned).collect(),
            Given::List(list) => list,
        };
        Self(all.into_iter().map(|url| url.trim().to_owned()).collect())
    }
}

impl Addresses {
    /// Each URL.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether there is a URL, and each is one that gRPC can be spoken at.
    pub fn is_usable(&self) -> bool {
        !self.0.is_empty() && self.iter().all(|url| url.starts_with("http://") || url.starts_with("https://"))
    }
}

impl From<&str> for Addresses {
    fn from(text: &str) -> Self {
        Given::Text(text.to_owned()).into()
    }
}
