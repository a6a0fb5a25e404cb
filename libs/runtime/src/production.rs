//! What production may not have: looked for before anything is opened, and told all at once.

use crate::auth::{is_near, keys_in_two_roles};
use crate::config::{Config, Mode, Server};
use remit_core::{Error, Kind, Result};
use remit_store::private;
use secrecy::ExposeSecret as _;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// What is wrong, by setting.
#[derive(Default)]
struct Problems(Vec<(String, String)>);

impl Problems {
    fn add(&mut self, field: impl Into<String>, what: impl Into<String>) {
        self.0.push((field.into(), what.into()));
    }

    fn unless(&mut self, ok: bool, field: &str, what: &str) {
        if !ok {
            self.add(field, what);
        }
    }

    fn check(&mut self, field: &str, looked: Result<()>) {
        if let Err(error) = looked {
            self.add(field, error.message());
        }
    }

    /// A private key that must be there, and nobody else's to read.
    fn key(&mut self, field: &str, path: &Path) {
        if path.exists() {
            self.check(field, private::check(path));
            let above = above(path);
            if private::is_exchangeable_in(above) {
                let what = format!(
                    "{} belongs to another user, or can be changed by others, who could put another key there: chown it to \
                     the user of this process or to root, and chmod go-w it",
                    above.display()
                );
                self.add(field, what);
            }
        } else {
            let what =
                format!("{} is not there, and production makes no keys: make it with remit keys", path.display());
            self.add(field, what);
        }
    }

    /// A key set that must be there, and nobody else's to write: whoever does can sign.
    fn key_set(&mut self, field: &str, source: &str) {
        // Named by nobody: its issuer's discovery document says where it is.
        if source.is_empty() || source.contains("://") {
            return;
        }
        let path = Path::new(source);
        if !path.exists() {
            self.add(field, format!("the key set {source} is not there: make it with remit keys jwks, or name a URL"));
        }
        // Whoever may write where it lies can put another in its place.
        let inside = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        let all: Vec<PathBuf> = [above(path).to_owned(), path.to_owned()].into_iter().chain(inside).collect();
        for open in &all {
            let what = match () {
                () if private::is_anothers(open) => {
                    "belongs to another user: chown it to the user of this process or to root"
                }
                () if private::is_writable_by_others(open) => "can be changed by others than its owner: chmod go-w it",
                () => continue,
            };
            self.add(field, format!("{} {what}", open.display()));
        }
    }
}

/// The directory that a file is in.
fn above(path: &Path) -> &Path {
    path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Refuses a configuration that is for production and is not fit for it, and any in which a key has two roles.
///
/// # Errors
/// `InvalidArgument` (`CONFIG_INVALID`) with a violation for each setting that is in the way, and what to do about it.
pub fn check(config: &Config) -> Result<()> {
    let mut found = if config.mode == Mode::Production { problems(config).0 } else { Vec::new() };
    // In development too: keys that are configured are somebody's.
    found.extend(keys_in_two_roles(config));
    if found.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = found.iter().map(|(field, what)| format!("{field}: {what}")).collect();
    let who = if config.mode == Mode::Production { "mode is production, which" } else { "a suite" };
    let message = format!("{who} cannot start like this: {}", lines.join("; "));
    let error = Error::new(Kind::InvalidArgument, "CONFIG_INVALID", message);
    Err(found.into_iter().fold(error, |error, (field, what)| error.with_violation(field, what)))
}

fn problems(config: &Config) -> Problems {
    let mut found = Problems::default();
    let (auth, server) = (&config.auth, &config.server);
    found.unless(
        !auth.development,
        "auth.development",
        "must be false: its keys are made for whoever starts the process",
    );
    let named = !auth.issuers.is_empty();
    found.unless(named, "auth.issuers", "must name the organisation's identity provider, not the development issuer");
    found.unless(
        !config.clock.manual,
        "clock.manual",
        "must be false: times in the records must not be what somebody said",
    );
    found.unless(!config.clock.allow_manual, "clock.allow_manual", "must be false");
    found.unless(
        config.services().contains(&"council") || config.peers.contains_key("council"),
        "peers.council",
        "must be set, because this process does not run the council, which knows what tokens are revoked",
    );
    if !server.tls_terminated_by_proxy {
        let clear = is_open_in_the_clear(server);
        let remedy = "set server.tls_certificate and server.tls_key, or say by server.tls_terminated_by_proxy that \
                      something else encrypts it";
        found.unless(
            !clear,
            "server.listen",
            &format!("{} is beyond this machine, in the clear: {remedy}", server.listen),
        );
        let listen = &config.operations.listen;
        found.unless(
            stays_here(listen),
            "operations.listen",
            &format!(
                "{listen} is beyond this machine, and that port has neither TLS nor tokens: listen on a loopback \
                 address, or say by server.tls_terminated_by_proxy that something else encrypts it"
            ),
        );
        let peers = config.peers.iter().flat_map(|(service, urls)| urls.iter().map(move |url| (service, url)));
        for (service, url) in peers.filter(|(_, url)| is_clear(url)) {
            let remedy = "use https, or say by server.tls_terminated_by_proxy that something else encrypts it";
            found.add(format!("peers.{service}"), format!("{url} would be sent service tokens in the clear: {remedy}"));
        }
    }
    if !server.tls_key.as_os_str().is_empty() {
        found.key("server.tls_key", &server.tls_key);
    }
    if !config.peer_tls.key.as_os_str().is_empty() {
        found.key("peer_tls.key", &config.peer_tls.key);
    }
    for (at, issuer) in auth.issuers.iter().enumerate() {
        found.key_set(&format!("auth.issuers[{at}].jwks"), &issuer.jwks);
    }
    databases(config, &mut found);
    keys(config, &mut found);
    let mail = &config.notify.smtp;
    if config.services().contains(&"notify") && !mail.password_file.as_os_str().is_empty() {
        found.check("notify.smtp.password_file", private::check(&mail.password_file));
    }
    found.check("data.dir", private::check_directory(&config.data.dir));
    if !auth.issuer_dir.as_os_str().is_empty() {
        found.check("auth.issuer_dir", private::check_directory(&auth.issuer_dir));
    }
    found
}

/// Databases that would be reached in the clear.
fn databases(config: &Config, found: &mut Problems) {
    let remedy = "add sslmode=verify-full and sslrootcert, or say by server.tls_terminated_by_proxy that something else encrypts it";
    let mut told = BTreeSet::new();
    for service in config.services() {
        let url = config.database_url(service);
        let field = if config.database.urls.contains_key(service) {
            format!("database.urls.{service}")
        } else {
            "database.url".to_owned()
        };
        let clear = is_database_in_the_clear(url.expose_secret());
        if clear && !config.server.tls_terminated_by_proxy && told.insert(field.clone()) {
            found.add(field, format!("a database beyond this machine would be spoken to in the clear: {remedy}"));
        }
    }
}

/// Whether a database is on another machine and need not encrypt.
fn is_database_in_the_clear(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let of = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let host = of("host").or_else(|| url.host_str().map(str::to_owned)).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let here = host.is_empty()
        || host.starts_with('/')
        || host.starts_with("%2F")
        || host == "localhost"
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let encrypts = of("sslmode").is_some_and(|mode| ["require", "verify-ca", "verify-full"].contains(&mode.as_str()));
    url.scheme().starts_with("postgres") && !here && !encrypts
}

/// The keys that the services of this process need, and no others.
fn keys(config: &Config, found: &mut Problems) {
    let (auth, services) = (&config.auth, config.services());
    if auth.service_key.as_os_str().is_empty() {
        found.add(
            "auth.service_key",
            "must name the keys of the services of this process: make them with remit keys new",
        );
    } else if auth.service_key.is_dir() {
        for service in &services {
            found.key("auth.service_key", &auth.service_key.join(format!("{service}.key")));
        }
    } else {
        found.key("auth.service_key", &auth.service_key);
    }
    if !auth.service_jwks.is_empty() {
        found.key_set("auth.service_jwks", &auth.service_jwks);
    } else if services.len() < remit_core::SERVICES.len() {
        found
            .add("auth.service_jwks", "must name the public keys of all services, as other processes run some of them");
    }
    if services.contains(&"council") {
        found.key("mandates.key", &config.mandate_key());
    }
    found.key_set("mandates.jwks", &config.mandate_jwks());
    if services.contains(&"audit") {
        let or = |named: &PathBuf, own: &str| {
            if named.as_os_str().is_empty() { config.data.dir.join(own) } else { named.clone() }
        };
        found.key("audit.signing_key", &or(&config.audit.signing_key, "audit-signing.pem"));
        if !config.audit.next_signing_key.as_os_str().is_empty() {
            found.key("audit.next_signing_key", &config.audit.next_signing_key);
        }
        if config.audit.master_keys.expose_secret().is_empty() {
            found.key("audit.master_keys_file", &or(&config.audit.master_keys_file, "audit-master.keys"));
        }
    }
}

/// Whether what is sent to a URL leaves this machine in the clear.
fn is_clear(url: &str) -> bool {
    !reqwest::Url::parse(url).is_ok_and(|url| url.scheme() == "https" || is_near(&url))
}

/// Whether other machines reach the address without TLS, and nothing says that something else encrypts it.
pub fn is_open_in_the_clear(server: &Server) -> bool {
    server.tls_certificate.as_os_str().is_empty() && !server.tls_terminated_by_proxy && !stays_here(&server.listen)
}

/// Whether nobody on another machine reaches the address; none at all is no address.
pub fn stays_here(listen: &str) -> bool {
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
    listen.is_empty() || host == "localhost" || listen.parse::<SocketAddr>().is_ok_and(|addr| addr.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::auth::keyfile;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn fields(config: &Config) -> Vec<String> {
        let error = check(config).unwrap_err();
        assert_eq!(error.reason(), "CONFIG_INVALID");
        for found in error.violations() {
            assert!(error.message().contains(&format!("{}: {}", found.field, found.description)), "{error}");
        }
        error.violations().iter().map(|found| found.field.clone()).collect()
    }

    #[test]
    fn production_says_all_that_is_in_the_way_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
        let toml = format!(
            "mode = \"production\"\ndata.dir = {:?}\nserver.listen = \"0.0.0.0:7420\"\nserver.only = [\"audit\", \"council\"]\n\
             clock.manual = true\nclock.allow_manual = true\npeers.kpi = \"http://127.0.0.1:1@kpi:7420\"\n",
            data.display().to_string()
        );
        let config = Config::from_toml(&toml).unwrap();
        let wanted = [
            "auth.development",
            "auth.issuers",
            "clock.manual",
            "clock.allow_manual",
            "server.listen",
            "peers.kpi",
            "auth.service_key",
            "auth.service_jwks",
            "mandates.key",
            "mandates.jwks",
            "audit.signing_key",
            "audit.master_keys_file",
            "data.dir",
        ];
        assert_eq!(fields(&config), wanted);
        let development = Config::from_toml(&toml.replace("production", "development")).unwrap();
        assert!(check(&development).is_ok(), "in development all of this is allowed");
    }

    #[test]
    fn a_database_beyond_this_machine_is_spoken_to_encrypted() {
        for (url, clear) in [
            ("postgres://u:p@db.example/remit", true),
            ("postgres://u:p@db.example/remit?sslmode=prefer", true),
            ("postgresql://u:p@192.0.2.7/remit?sslmode=disable", true),
            ("postgres:///remit?host=192.0.2.7", true),
            ("postgres://u:p@db.example/remit?sslmode=verify-full", false),
            ("postgres://u:p@db.example/remit?sslmode=require", false),
            ("postgres://u:p@127.0.0.1/remit", false),
            ("postgres://u:p@[::1]:5432/remit", false),
            ("postgres://u:p@localhost/remit?sslmode=disable", false),
            ("postgres:///remit?host=/run/postgresql", false),
            ("sqlite:/var/lib/remit/kpi.db", false),
        ] {
            assert_eq!(is_database_in_the_clear(url), clear, "{url}");
        }
        let toml = "mode = \"production\"\ndatabase.url = \"postgres://u:p@db.example/remit\"\n";
        assert!(fields(&Config::from_toml(toml).unwrap()).contains(&"database.url".to_owned()));
        let proxied = format!("server.tls_terminated_by_proxy = true\n{toml}");
        assert!(!fields(&Config::from_toml(&proxied).unwrap()).contains(&"database.url".to_owned()));
    }

    #[test]
    fn production_starts_with_keys_of_its_own_that_nobody_else_can_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let path = |name: &str| dir.path().join(name);
        let keys = ["services/kpi.key", "tls.key"];
        for key in keys {
            keyfile::read_or_make(&path(key), "made").unwrap();
        }
        let sets = ["idp.json", "council.json", "services.json"];
        for set in sets {
            fs::write(path(set), "{\"keys\": []}").unwrap();
            fs::set_permissions(path(set), fs::Permissions::from_mode(0o644)).unwrap();
        }
        let toml = format!(
            "mode = \"production\"\n[data]\ndir = {:?}\n[server]\nlisten = \"0.0.0.0:7420\"\nonly = [\"kpi\"]\n\
             tls_certificate = \"c.pem\"\ntls_key = {:?}\n[auth]\ndevelopment = false\nservice_key = {:?}\nservice_jwks = {:?}\n\
             [mandates]\njwks = {:?}\n[peers]\naudit = \"https://audit:7420\"\ncouncil = \"https://council:7420\"\nkpi = \"http://[::1]:1\"\n\
             [[auth.issuers]]\nissuer = \"i\"\ntenants = [\"*\"]\njwks = {:?}\n\
             [[auth.issuers]]\nissuer = \"https://discovered.example\"\ntenants = [\"*\"]\nsubject_prefix = \"d:\"\n",
            path("data"),
            path(keys[1]),
            path("services"),
            path(sets[2]),
            path(sets[1]),
            path(sets[0])
        );
        let config = Config::from_toml(&toml).unwrap();
        check(&config).unwrap();
        for (file, mode, field) in [
            (keys[0], 0o640, "auth.service_key"),
            (keys[1], 0o604, "server.tls_key"),
            (sets[0], 0o666, "auth.issuers[0].jwks"),
            (sets[1], 0o664, "mandates.jwks"),
            (sets[2], 0o646, "auth.service_jwks"),
        ] {
            let before = fs::metadata(path(file)).unwrap().permissions();
            fs::set_permissions(path(file), fs::Permissions::from_mode(mode)).unwrap();
            if mode != 0o640
                || fs::metadata(path(file)).is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) != 0)
            {
                assert_eq!(fields(&config), [field]);
            }
            fs::set_permissions(path(file), before).unwrap();
        }
        // A key is as safe as the directory that it is in.
        let services = path("services");
        let before = fs::metadata(&services).unwrap().permissions();
        fs::set_permissions(&services, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(fields(&config), ["auth.service_key"]);
        fs::set_permissions(&services, before).unwrap();
        // A set in a directory is as safe as the directory, and as each of its files.
        let folder = path("sets");
        fs::create_dir(&folder).unwrap();
        fs::copy(path(sets[2]), folder.join("all.json")).unwrap();
        let apart = toml.replace(&format!("{:?}", path(sets[2])), &format!("{folder:?}"));
        let apart = Config::from_toml(&apart).unwrap();
        for (open, safe, unsafe_) in [(folder.clone(), 0o755, 0o777), (folder.join("all.json"), 0o644, 0o664)] {
            fs::set_permissions(&open, fs::Permissions::from_mode(unsafe_)).unwrap();
            assert!(fields(&apart).iter().all(|field| field == "auth.service_jwks"), "{}", open.display());
            fs::set_permissions(&open, fs::Permissions::from_mode(safe)).unwrap();
        }
        check(&apart).unwrap();
        fs::remove_file(path(keys[0])).unwrap();
        assert_eq!(fields(&config), ["auth.service_key"]);
        let clear = toml.replace("https://audit", "http://audit").replace("tls_certificate = \"c.pem\"\n", "");
        let clear = clear.lines().filter(|line| !line.starts_with("tls_key")).collect::<Vec<_>>().join("\n");
        assert_eq!(fields(&Config::from_toml(&clear).unwrap()), ["server.listen", "peers.audit", "auth.service_key"]);
        let beyond = format!("{toml}\n[operations]\nlisten = \"0.0.0.0:7421\"\n");
        let beyond = Config::from_toml(&beyond).unwrap();
        assert!(check(&beyond).is_err_and(|error| error.message().contains("operations.listen: 0.0.0.0:7421")));
        let said = clear.replace("[auth]\n", "tls_terminated_by_proxy = true\n[auth]\n");
        assert_eq!(fields(&Config::from_toml(&said).unwrap()), ["auth.service_key"]);
    }

    #[test]
    fn an_address_of_this_machine_is_known_by_what_it_is_and_not_how_it_begins() {
        for here in ["127.0.0.1:7420", "127.9.9.9:0", "[::1]:7420", "localhost:1", ""] {
            assert!(stays_here(here), "{here}");
        }
        for beyond in ["0.0.0.0:7420", "[::]:7420", "127.0.0.1.evil.example:1", "localhost.example:1", "10.0.0.1:1"] {
            assert!(!stays_here(beyond), "{beyond}");
        }
    }
}
