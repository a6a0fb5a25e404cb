//! The public keys of the issuers: read from a file, a directory or a URL, kept, and read again as they rotate.
//!
//! A key set is as good as its last good reading. Whatever parses as a key set replaces what was there, so that a withdrawal
//! always takes effect; a key that cannot be used is passed over and named, so that it spoils no other; and a set that could
//! not be read for too long is trusted no more.

use super::apart::Public;
use super::discovery;
use super::jwks::Parsed;
use super::sources::{check_url, directory, fetch, file, is_safe, is_settled, unavailable};
use crate::context;
use arc_swap::ArcSwap;
use jsonwebtoken::{Algorithm, DecodingKey};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use remit_core::{ActorKind, Error, Kind, Result, SERVICES};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// How long the server of a key set may take to answer, to the last byte, where nothing else is said.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The most callers that wait for a reading of one set; more are refused at once, so that made-up key ids do not pile up
/// behind a server that hangs.
const MOST_WAITING: usize = 1_000;

static READINGS: LazyLock<Counter<u64>> =
    LazyLock::new(|| counter("remit.jwks.readings", "Readings of key sets, by issuer and outcome."));

static SKIPPED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter(
        "remit.jwks.skipped_keys",
        "Keys that were passed over when a key set changed, by issuer; the log names them.",
    )
});

fn counter(name: &'static str, what: &'static str) -> Counter<u64> {
    opentelemetry::global::meter("remit").u64_counter(name).with_description(what).build()
}

/// One public key and the only algorithm it may be used with.
pub(crate) struct Key {
    pub algorithm: Algorithm,
    pub decoding: DecodingKey,
    /// What tells it from others, whatever its id.
    pub public: Option<Public>,
    /// Which of the suite's own services it speaks for; only the suite's own key set is asked.
    pub service: Option<String>,
}

/// Keys by their ids.
pub(super) type Keys = HashMap<String, Arc<Key>>;

/// The keys of one issuer.
pub(crate) struct KeySet {
    pub issuer: String,
    pub kinds: Vec<ActorKind>,
    /// What keys without an algorithm of their own may be used with, in this order; empty: everything.
    algorithms: Vec<Algorithm>,
    source: Source,
    max_age: Duration,
    patience: Duration,
    held: ArcSwap<Held>,
    version: AtomicU64,
    state: Mutex<State>,
    /// Whether its keys must say which of the suite's services they speak for.
    of_services: bool,
    /// One reading at a time: an older one must not overwrite a newer.
    reading: tokio::sync::Mutex<()>,
    places: Semaphore,
}

/// What was read, and when the source last gave a key set.
#[derive(Default)]
struct Held {
    keys: Arc<Keys>,
    good: Option<Instant>,
}

enum Source {
    /// Known from the start, and the same until the process ends.
    Fixed,
    /// A file, or a directory of such files.
    File(PathBuf),
    Url(String, reqwest::Client),
    /// Where the issuer's discovery document says.
    Discovered(reqwest::Client),
}

#[derive(Default)]
struct State {
    tried: Option<Instant>,
    /// When a key id that is not in the set last made the source be read.
    asked: Option<Instant>,
    failing: bool,
    stamp: Option<(SystemTime, u64)>,
    parts: BTreeMap<String, Vec<u8>>,
    under_way: Option<watch::Receiver<()>>,
}

impl KeySet {
    /// Describes an issuer; nothing is read yet. Without a source its discovery document says where its keys are.
    ///
    /// # Errors
    /// `InvalidArgument` (`CONFIG_INVALID`) for a URL that would send keys in the clear, or that holds a password; without a
    /// source, for an issuer that is no such URL.
    pub fn new(issuer: &str, source: &str, kinds: &[ActorKind]) -> Result<Self> {
        Self::set_by("auth.issuers.jwks", issuer, source, kinds)
    }

    /// The same where another setting names the source.
    ///
    /// # Errors
    /// As [`KeySet::new`].
    pub fn set_by(setting: &str, issuer: &str, source: &str, kinds: &[ActorKind]) -> Result<Self> {
        let place = if source.is_empty() { issuer } else { source };
        let source = if place.contains("://") {
            let near = match check_url(setting, place) {
                Err(_) if source.is_empty() => return Err(nowhere(setting, issuer)),
                near => near?,
            };
            let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
            // A proxy would be sent in the clear what must not leave this machine.
            let client = if near { client.no_proxy() } else { client };
            let client = client
                .build()
                .map_err(|error| Error::internal("the HTTP client could not be made").with_source(error))?;
            if source.is_empty() { Source::Discovered(client) } else { Source::Url(source.to_owned(), client) }
        } else if source.is_empty() {
            return Err(nowhere(setting, issuer));
        } else {
            Source::File(PathBuf::from(source))
        };
        Ok(Self::of(issuer, source, kinds))
    }

    fn of(issuer: &str, source: Source, kinds: &[ActorKind]) -> Self {
        Self {
            issuer: issuer.to_owned(),
            kinds: kinds.to_vec(),
            algorithms: Vec::new(),
            source,
            max_age: Duration::MAX,
            patience: FETCH_TIMEOUT,
            held: ArcSwap::default(),
            version: AtomicU64::new(0),
            of_services: false,
            state: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            places: Semaphore::new(MOST_WAITING),
        }
    }

    /// The same, trusted for `max_age` after its last good reading and no longer, whose server may take as long as
    /// `patience` to answer, to the last byte.
    pub fn bounded(mut self, max_age: Duration, patience: Duration) -> Self {
        (self.max_age, self.patience) = (max_age, patience);
        self
    }

    /// The same, of whose keys only those for these algorithms count.
    pub fn with_algorithms(mut self, algorithms: &[Algorithm]) -> Self {
        algorithms.clone_into(&mut self.algorithms);
        self
    }

    /// The same as the suite's own set, of whose keys those without a service of the suite speak for nobody.
    pub fn of_services(self) -> Self {
        Self { of_services: true, ..self }
    }

    /// An issuer whose keys are `set`, a JWK set, as long as the process runs.
    ///
    /// # Errors
    /// `FailedPrecondition` (`JWKS_INVALID`) if it is not a key set with a usable key.
    pub fn fixed(issuer: &str, set: &serde_json::Value, kinds: &[ActorKind]) -> Result<Self> {
        let this = Self::of(issuer, Source::Fixed, kinds);
        this.take([("in memory".to_owned(), set.to_string().into_bytes())].into())?;
        if this.is_empty() { Err(this.unusable()) } else { Ok(this) }
    }

    /// The key with this id.
    pub fn find(&self, kid: &str) -> Option<Arc<Key>> {
        self.held.load().keys.get(kid).cloned()
    }

    /// Whether the set has this public key, by whatever id.
    pub fn has(&self, public: &Public) -> bool {
        self.held.load().keys.values().any(|key| key.public.as_ref() == Some(public))
    }

    /// Whether the key set has ever been read.
    pub fn is_loaded(&self) -> bool {
        self.held.load().good.is_some()
    }

    /// Whether the key set should have been read and never was.
    pub fn is_unread(&self) -> bool {
        !matches!(self.source, Source::Fixed) && !self.is_loaded()
    }

    /// Whether there is no key that can be used.
    pub fn is_empty(&self) -> bool {
        self.held.load().keys.is_empty()
    }

    /// Whether the source is a file, which is cheap to look at often.
    pub fn is_file(&self) -> bool {
        matches!(self.source, Source::File(_))
    }

    /// Whether the last good reading was too long ago.
    pub fn is_stale(&self) -> bool {
        let fixed = matches!(self.source, Source::Fixed);
        !fixed && self.held.load().good.is_some_and(|good| good.elapsed() > self.max_age)
    }

    /// Says that the last good reading was too long ago, if it was.
    ///
    /// # Errors
    /// `Unavailable` (`JWKS_STALE`).
    pub fn check_age(&self) -> Result<()> {
        if !self.is_stale() {
            return Ok(());
        }
        let what = format!(
            "the keys of issuer {} could not be read for longer than auth.jwks_max_age, {} seconds: make {} reachable",
            self.issuer,
            self.max_age.as_secs(),
            self.source_name(),
        );
        Err(Error::new(Kind::Unavailable, "JWKS_STALE", what))
    }

    /// The error for a set without a key that can be used.
    pub fn unusable(&self) -> Error {
        let source = self.source_name();
        let what =
            format!("the key set {source} of issuer {} has no key that can be used; the log names why", self.issuer);
        Error::precondition("JWKS_INVALID", what)
    }

    /// How often the keys changed: whoever remembers what they said compares.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// Whether `interval` has passed since the source was last read; if so, counts as reading it now.
    pub fn may_reload(&self, interval: Duration) -> bool {
        passed(&mut self.state().tried, interval)
    }

    /// Whether it is time to read the source again: files and sources that fail every `often`, others every `refresh`.
    pub fn is_due(&self, often: Duration, refresh: Duration) -> bool {
        let soon = self.is_file() || !self.is_loaded() || self.is_stale();
        let state = self.state();
        let interval = if soon || state.failing { often } else { refresh };
        state.tried.is_none_or(|tried| tried.elapsed() >= interval)
    }

    /// The key with this id, for which the source is read again if it is not there: at most once an `interval` for all such
    /// ids together, so that whoever makes ids up cannot make this process read without bound. Callers share a reading,
    /// which goes on if they give up.
    ///
    /// # Errors
    /// `DeadlineExceeded` (`DEADLINE_EXCEEDED`) if the caller's deadline passes meanwhile.
    pub async fn find_or_read(self: &Arc<Self>, kid: &str, interval: Duration) -> Result<Option<Arc<Key>>> {
        // Twice: the reading under way may have begun before the key was published.
        for _ in 0..2 {
            if let Some(key) = self.find(kid) {
                return Ok(Some(key));
            }
            let Some(reading) = self.under_way().or_else(|| self.ask(interval)) else { break };
            let Ok(_place) = self.places.try_acquire() else { break };
            wait(reading).await?;
        }
        Ok(self.find(kid))
    }

    fn under_way(&self) -> Option<watch::Receiver<()>> {
        live(&self.state().under_way)
    }

    fn ask(self: &Arc<Self>, interval: Duration) -> Option<watch::Receiver<()>> {
        let may = passed(&mut self.state().asked, interval);
        may.then(|| self.read_again())
    }

    /// Begins to read the source again in the background, or joins the reading that is under way. What is returned is
    /// closed when it has ended.
    pub fn read_again(self: &Arc<Self>) -> watch::Receiver<()> {
        let mut state = self.state();
        if let Some(reading) = live(&state.under_way) {
            return reading;
        }
        state.tried = Some(Instant::now());
        let (done, reading) = watch::channel(());
        state.under_way = Some(reading.clone());
        let this = self.clone();
        tokio::spawn(async move {
            match this.reload().await {
                Ok(true) => tracing::info!(issuer = this.issuer, "the key set changed"),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(issuer = this.issuer, error = error.message(), "keys stay as they were for now");
                }
            }
            drop(done);
        });
        reading
    }

    /// Reads the source again; true if the keys changed.
    ///
    /// # Errors
    /// `Unavailable` (`JWKS_UNAVAILABLE`) if it cannot be read, `FailedPrecondition` (`JWKS_INVALID`) if it is not a key
    /// set. The keys known so far stay in force, for as long as the set is trusted.
    pub async fn reload(&self) -> Result<bool> {
        let _reading = self.reading.lock().await;
        // Twice, as one answer may say where the next is.
        let read = tokio::time::timeout(self.patience * 2, self.read())
            .await
            .unwrap_or_else(|late| Err(unavailable(&self.source_name(), late)));
        let taken = read.and_then(|parts| match parts {
            Some(parts) => self.take(parts),
            None => {
                self.hold(self.held.load().keys.clone());
                Ok(false)
            }
        });
        self.state().failing = taken.is_err();
        let outcome = if taken.is_ok() { "ok" } else { "failed" };
        READINGS.add(1, &[KeyValue::new("issuer", self.issuer.clone()), KeyValue::new("outcome", outcome)]);
        taken
    }

    /// What the source holds; `None` if that is what it held the last time.
    async fn read(&self) -> Result<Option<BTreeMap<String, Vec<u8>>>> {
        match &self.source {
            Source::Fixed => Ok(None),
            Source::File(path) => {
                let failed = |error: std::io::Error| unavailable(&path.display().to_string(), error);
                let meta = tokio::fs::metadata(path).await.map_err(failed)?;
                if meta.is_dir() {
                    return directory(path).await.map_err(failed).map(Some);
                }
                let stamp = meta.modified().ok().map(|modified| (modified, meta.len()));
                if self.is_loaded() && stamp.is_some() && self.state().stamp == stamp && is_settled(stamp) {
                    return Ok(None);
                }
                let part = file(path).await.map_err(failed)?;
                self.state().stamp = stamp;
                Ok(Some([part].into()))
            }
            Source::Url(url, client) => Ok(Some([(url.clone(), fetch(client, url, self.patience).await?)].into())),
            Source::Discovered(client) => {
                let get = |url: String| async move { fetch(client, &url, self.patience).await };
                let url = discovery::jwks_uri(&self.issuer, is_safe, get).await?;
                let text = fetch(client, &url, self.patience).await?;
                Ok(Some([(url, text)].into()))
            }
        }
    }

    /// Takes over what was read; true if the keys changed.
    fn take(&self, mut parts: BTreeMap<String, Vec<u8>>) -> Result<bool> {
        let one = parts.len() == 1 && !matches!(&self.source, Source::File(path) if path.is_dir());
        let before = std::mem::take(&mut self.state().parts);
        let mut parsed = Parsed::of(&self.algorithms);
        let mut broken = None;
        for (name, text) in &mut parts {
            let Err(why) = parsed.add(text) else { continue };
            // A file that is being written is read again soon; until then it says what it said.
            *text = before.get(name).cloned().unwrap_or_default();
            let _ = parsed.add(text);
            if !one {
                tracing::warn!(issuer = self.issuer, from = name, "what is no key set is passed over: {why}");
            }
            broken = Some(why);
        }
        if let (true, Some(why)) = (one, broken) {
            let mut state = self.state();
            (state.parts, state.stamp) = (before, None);
            let what = format!("the key set {} of issuer {} {why}", self.source_name(), self.issuer);
            return Err(Error::precondition("JWKS_INVALID", what));
        }
        let changed = parts != before || !self.is_loaded();
        self.state().parts = parts;
        if !changed {
            self.hold(self.held.load().keys.clone());
            return Ok(false);
        }
        let (keys, skipped) = parsed.finish();
        for why in &skipped {
            tracing::warn!(issuer = self.issuer, from = self.source_name(), "a key is passed over: {why}");
        }
        let speaks = |key: &Key| key.service.as_deref().is_some_and(|service| SERVICES.contains(&service));
        for (kid, _) in keys.iter().filter(|(_, key)| self.of_services && !speaks(key)) {
            let from = self.source_name();
            tracing::warn!(
                from,
                kid,
                "a key names no service of the suite, so it speaks for nobody: add it again with \
                 remit keys rotate SET --next FILE --service SERVICE"
            );
        }
        if !skipped.is_empty() {
            let count = u64::try_from(skipped.len()).unwrap_or(u64::MAX);
            SKIPPED.add(count, &[KeyValue::new("issuer", self.issuer.clone())]);
        }
        if keys.is_empty() {
            tracing::error!(issuer = self.issuer, "the key set has no key that can be used: its tokens are refused");
        }
        self.hold(Arc::new(keys));
        self.version.fetch_add(1, Ordering::SeqCst);
        Ok(true)
    }

    fn hold(&self, keys: Arc<Keys>) {
        self.held.store(Arc::new(Held { keys, good: Some(Instant::now()) }));
    }

    fn source_name(&self) -> String {
        match &self.source {
            Source::Fixed => "in memory".to_owned(),
            Source::File(path) => path.display().to_string(),
            Source::Url(url, _) => url.clone(),
            Source::Discovered(_) => discovery::location(&self.issuer),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That neither a source is named, nor can the issuer be asked for one.
fn nowhere(setting: &str, issuer: &str) -> Error {
    let what = format!("must name the key set of {issuer}, which is no https URL with a discovery document");
    Error::invalid("CONFIG_INVALID", setting, what)
}

/// Whether `interval` has passed since `last`, which is now if so.
fn passed(last: &mut Option<Instant>, interval: Duration) -> bool {
    let now = Instant::now();
    let may = last.is_none_or(|last| now.duration_since(last) >= interval);
    if may {
        *last = Some(now);
    }
    may
}

/// A reading that has not ended.
fn live(reading: &Option<watch::Receiver<()>>) -> Option<watch::Receiver<()>> {
    reading.clone().filter(|reading| reading.has_changed().is_ok())
}

/// Waits for the end of a reading, but not longer than the caller waits for an answer.
async fn wait(mut reading: watch::Receiver<()>) -> Result<()> {
    let ended = async move { while reading.changed().await.is_ok() {} };
    match context::current().and_then(|scope| scope.deadline) {
        Some(at) => tokio::time::timeout_at(at, ended).await.map_err(|_| crate::layers::deadline_exceeded()),
        None => {
            ended.await;
            Ok(())
        }
    }
}
