//! Faults on the wire, against a real server on the loopback.

use std::path::PathBuf;
use std::time::Duration;

use cpipe_engine::digest::{Algorithm, Pin};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Arrived, Client, HttpError, Patience, Proxies, Token, Wanted, download};
use crate::server::{Reply, Request, Server};

const IMPATIENT: Patience = Patience {
    attempts: 4,
    first_wait: Duration::from_millis(1),
    longest_wait: Duration::from_secs(2),
    silence: Duration::from_millis(300),
};

fn never() -> bool {
    false
}

/// Bytes that repeat nowhere.
fn noise(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    ChaCha8Rng::seed_from_u64(count as u64).fill_bytes(&mut bytes);
    bytes
}

/// Answers that break off or fall silent.
trait Fault {
    fn cut_after(self, bytes: usize) -> Self;
    fn silent(self, time: Duration) -> Self;
}

impl Fault for Reply {
    fn cut_after(self, bytes: usize) -> Self {
        Self {
            cut: Some(bytes),
            ..self
        }
    }

    fn silent(self, time: Duration) -> Self {
        Self {
            silence: Some(time),
            ..self
        }
    }
}

/// What is known of a file besides its places.
struct Known {
    token: Option<Token>,
    size: Option<u64>,
    limit: Option<u64>,
    digest: Option<Pin>,
}

const NOTHING: Known = Known {
    token: None,
    size: None,
    limit: None,
    digest: None,
};

fn known_digest(digest: Pin) -> Known {
    Known {
        digest: Some(digest),
        ..NOTHING
    }
}

struct Place {
    _dir: tempfile::TempDir,
    target: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("file");
        Self { _dir: dir, target }
    }

    fn part(&self) -> PathBuf {
        self.target.with_file_name("file.part")
    }

    fn get(&self, urls: &[&str], known: &Known) -> Result<Arrived, HttpError> {
        let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
        let wanted = Wanted {
            urls: &urls,
            token: known.token.as_ref(),
            size: known.size,
            limit: known.limit,
            digest: known.digest.as_ref(),
            progress: &|_, _| {},
        };
        download(
            &Client::new(IMPATIENT, Proxies::default(), &never),
            &wanted,
            &self.target,
        )
    }

    /// What must hold after every failure: nothing stands where the whole file would.
    fn assert_nothing(&self) {
        assert!(!self.target.exists());
    }
}

fn sha256(bytes: &[u8]) -> Pin {
    Pin {
        algorithm: Algorithm::Sha256,
        hex: Algorithm::Sha256.hash(bytes),
    }
}

#[test]
fn a_connection_cut_at_random_bytes_is_gone_on_with() {
    let bytes = noise(3_000_000);
    let served = bytes.clone();
    let server = Server::start(move |request: &Request| {
        let mut random = ChaCha8Rng::seed_from_u64(request.earlier as u64);
        Reply::file(request, &served, "v1").cut_after(random.random_range(1..700_000))
    });
    let place = Place::new();
    let arrived = place.get(&[&server.url], &NOTHING).unwrap();
    assert_eq!(std::fs::read(&place.target).unwrap(), bytes);
    assert_eq!(arrived.digest, sha256(&bytes));
    let requests = server.requests();
    assert!(requests.len() > 3, "{} requests", requests.len());
    assert!(
        server.sent("/") <= bytes.len() + (1 << 16),
        "bytes were fetched twice"
    );
    assert!(!place.part().exists());
}

#[test]
fn the_next_run_fetches_only_the_rest() {
    let bytes = noise(500_000);
    let served = bytes.clone();
    let server = Server::start(move |request: &Request| match request.earlier {
        0 => Reply::file(request, &served, "v1").cut_after(200_000),
        1..4 => Reply::file(request, &served, "v1").cut_after(0),
        _ => Reply::file(request, &served, "v1"),
    });
    let place = Place::new();
    let error = place.get(&[&server.url], &NOTHING).unwrap_err();
    assert!(matches!(error, HttpError::Transport { .. }), "{error}");
    place.assert_nothing();
    place.get(&[&server.url], &NOTHING).unwrap();
    assert_eq!(std::fs::read(&place.target).unwrap(), bytes);
    assert_eq!(server.sent("/"), bytes.len());
}

#[test]
fn a_file_that_changed_meanwhile_is_fetched_anew() {
    let (old, new) = (noise(300_000), noise(300_001));
    let (served, expected) = ([old, new.clone()], new);
    let server = Server::start(move |request: &Request| match request.earlier {
        0 => Reply::file(request, &served[0], "v1").cut_after(100_000),
        1..4 => Reply::file(request, &served[0], "v1").cut_after(0),
        _ => Reply::file(request, &served[1], "v2"),
    });
    let place = Place::new();
    assert!(place.get(&[&server.url], &NOTHING).is_err());
    place.get(&[&server.url], &NOTHING).unwrap();
    assert_eq!(std::fs::read(&place.target).unwrap(), expected);
}

#[test]
fn a_server_without_ranges_starts_over_and_nothing_is_lost() {
    let bytes = noise(400_000);
    let served = bytes.clone();
    let server = Server::start(move |request: &Request| match request.earlier {
        0 => Reply::ok(served.clone()).cut_after(150_000),
        _ => Reply::ok(served.clone()),
    });
    let place = Place::new();
    place.get(&[&server.url], &NOTHING).unwrap();
    assert_eq!(std::fs::read(&place.target).unwrap(), bytes);
}

#[test]
fn busy_servers_are_waited_for() {
    let server = Server::start(|request: &Request| match request.earlier {
        0 => Reply::status(429).header("retry-after", "0"),
        1 => Reply::status(503).header("retry-after", "1"),
        2 => Reply::status(503).header("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT"),
        _ => Reply::ok("hello"),
    });
    let place = Place::new();
    let started = std::time::Instant::now();
    place.get(&[&server.url], &NOTHING).unwrap();
    assert_eq!(server.requests().len(), 4);
    assert!(
        started.elapsed() >= Duration::from_secs(1),
        "the server asked for a second"
    );
}

#[test]
fn a_server_that_asks_for_hours_is_given_up_on() {
    let server = Server::start(|_: &Request| Reply::status(429).header("retry-after", "7200"));
    let place = Place::new();
    let error = place.get(&[&server.url], &NOTHING).unwrap_err().to_string();
    assert!(
        error.contains("answered 429 and asks to wait 7200 s"),
        "{error}"
    );
    assert_eq!(server.requests().len(), 1);
    place.assert_nothing();
}

#[test]
fn refusals_are_final() {
    for status in [401, 403, 404] {
        let server = Server::start(move |_: &Request| Reply::status(status));
        let place = Place::new();
        let url = format!("{}/x?signature=secret", server.url);
        let error = place.get(&[&url], &NOTHING).unwrap_err().to_string();
        assert_eq!(error, format!("{}/x answered {status}", server.url));
        assert_eq!(server.requests().len(), 1);
        place.assert_nothing();
    }
}

#[test]
fn a_wrong_length_is_refused_before_anything_is_read() {
    let server = Server::start(|request: &Request| Reply::file(request, &noise(1000), "v1"));
    let place = Place::new();
    let error = place
        .get(
            &[&server.url],
            &Known {
                size: Some(999),
                ..NOTHING
            },
        )
        .unwrap_err();
    assert!(
        matches!(
            error,
            HttpError::Length {
                expected: 999,
                found: 1000,
                ..
            }
        ),
        "{error}"
    );
    place.assert_nothing();
    let error = place
        .get(
            &[&server.url],
            &Known {
                limit: Some(999),
                ..NOTHING
            },
        )
        .unwrap_err();
    assert!(
        matches!(error, HttpError::TooLarge { limit: 999, .. }),
        "{error}"
    );
    place.assert_nothing();
}

#[test]
fn a_length_that_is_not_kept_is_no_file() {
    let server = Server::start(|_: &Request| Reply::ok("hello").header("content-length", "9"));
    let place = Place::new();
    let error = place.get(&[&server.url], &NOTHING).unwrap_err();
    assert!(matches!(error, HttpError::Transport { .. }), "{error}");
    place.assert_nothing();
}

#[test]
fn a_wrong_digest_leaves_nothing_behind() {
    for algorithm in [Algorithm::Sha256, Algorithm::Blake3] {
        let server = Server::start(|request: &Request| Reply::file(request, b"hello", "v1"));
        let place = Place::new();
        let hex = algorithm.hash(b"other");
        let known = known_digest(Pin { algorithm, hex });
        let error = place.get(&[&server.url], &known).unwrap_err();
        assert!(matches!(error, HttpError::Digest { .. }), "{error}");
        place.assert_nothing();
        assert!(!place.part().exists());
    }
}

#[test]
fn damage_in_a_part_is_found_and_the_file_fetched_anew() {
    let bytes = noise(100_000);
    let served = bytes.clone();
    let server = Server::start(move |request: &Request| Reply::file(request, &served, "v1"));
    let place = Place::new();
    let mut damaged = bytes[..50_000].to_vec();
    damaged[7] ^= 1;
    std::fs::write(place.part(), damaged).unwrap();
    let known = known_digest(sha256(&bytes));
    place.get(&[&server.url], &known).unwrap();
    assert_eq!(std::fs::read(&place.target).unwrap(), bytes);
}

#[test]
fn mirrors_are_tried_in_order() {
    let bad = Server::start(|_: &Request| Reply::status(404));
    let wrong = Server::start(|request: &Request| Reply::file(request, b"other", "v1"));
    let good = Server::start(|request: &Request| Reply::file(request, b"hello", "v2"));
    let known = known_digest(sha256(b"hello"));
    let place = Place::new();
    let urls = [bad.url.as_str(), &wrong.url, &good.url];
    let arrived = place.get(&urls, &known).unwrap();
    assert_eq!(arrived.place, 2);
    assert_eq!(std::fs::read(&place.target).unwrap(), b"hello");
    let place = Place::new();
    let error = place.get(&urls[..2], &known).unwrap_err().to_string();
    assert!(
        error.starts_with("none of the 2 places could be used: "),
        "{error}"
    );
}

#[test]
fn redirects_are_followed_but_not_in_circles() {
    let server = Server::start(|request: &Request| match request.path.as_str() {
        "/a" => Reply::status(302).header("location", "/b"),
        "/b" => Reply::file(request, b"hello", "v1"),
        _ => Reply::status(302).header("location", "/loop"),
    });
    let place = Place::new();
    place
        .get(&[&format!("{}/a", server.url)], &NOTHING)
        .unwrap();
    let place = Place::new();
    let error = place
        .get(&[&format!("{}/loop", server.url)], &NOTHING)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("it redirects more than 10 times"),
        "{error}"
    );
    assert!(server.requests().len() < 20);
    place.assert_nothing();
}

#[test]
fn a_token_stays_with_its_host() {
    let other = Server::start(|request: &Request| Reply::file(request, b"hello", "v1"));
    let elsewhere = other.url.replace("127.0.0.1", "localhost");
    let server =
        Server::start(move |_: &Request| Reply::status(302).header("location", &elsewhere));
    let known = Known {
        token: Some(Token::new("hf_secret")),
        ..NOTHING
    };
    let place = Place::new();
    place.get(&[&server.url], &known).unwrap();
    let authorization = |server: &Server| {
        let (request, _) = server.requests().remove(0);
        request.headers.get("authorization").cloned()
    };
    assert_eq!(authorization(&server).unwrap(), "Bearer hf_secret");
    assert_eq!(authorization(&other), None);
}

#[test]
fn a_silent_server_is_left() {
    let silence = Duration::from_secs(3);
    let server = Server::start(move |request: &Request| match request.earlier {
        0 => Reply::ok("hello").silent(silence),
        1 => Reply::file(request, b"hello", "v1")
            .cut_after(2)
            .silent(silence),
        _ => Reply::file(request, b"hello", "v1"),
    });
    let place = Place::new();
    place.get(&[&server.url], &NOTHING).unwrap();
    assert_eq!(std::fs::read(&place.target).unwrap(), b"hello");
    let mute = Server::start(move |_: &Request| Reply::ok("hello").silent(silence));
    let place = Place::new();
    let error = place.get(&[&mute.url], &NOTHING).unwrap_err().to_string();
    assert!(
        error.ends_with("the server did not answer in time"),
        "{error}"
    );
    place.assert_nothing();
}

#[test]
fn nobody_there_is_an_error_without_a_wait_for_ever() {
    let place = Place::new();
    let error = place.get(&["http://127.0.0.1:9/x"], &NOTHING).unwrap_err();
    assert!(matches!(error, HttpError::Transport { .. }), "{error}");
}

#[test]
#[expect(clippy::print_stderr, reason = "says why it was skipped")]
fn a_full_disk_is_said_and_leaves_no_file() {
    if !std::path::Path::new("/dev/full").exists() {
        eprintln!("skipped: this system has no /dev/full");
        return;
    }
    let server = Server::start(|request: &Request| Reply::file(request, &noise(200_000), "v1"));
    let place = Place::new();
    std::os::unix::fs::symlink("/dev/full", place.part()).unwrap();
    let error = place.get(&[&server.url], &NOTHING).unwrap_err();
    assert!(matches!(error, HttpError::Io { .. }), "{error}");
    place.assert_nothing();
}

#[test]
fn an_interruption_ends_a_download() {
    let server = Server::start(|request: &Request| Reply::file(request, &noise(200_000), "v1"));
    let place = Place::new();
    let urls = [server.url.clone()];
    let wanted = Wanted {
        urls: &urls,
        token: None,
        size: None,
        limit: None,
        digest: None,
        progress: &|_, _| {},
    };
    let client = Client::new(IMPATIENT, Proxies::default(), &|| true);
    let error = download(&client, &wanted, &place.target).unwrap_err();
    assert!(matches!(error, HttpError::Cancelled), "{error}");
    place.assert_nothing();
}
