//! Proxies from the environment: what goes through them, and what is told of them.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::Study;
use crate::hub::Hub;
use crate::sources::{HUB, model};

/// A proxy on the loopback that leads everything to one server, whatever its name. Ports but 80 are
/// refused.
struct Proxy {
    address: String,
    /// The first line and the headers of every request.
    seen: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Proxy {
    fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let server = server.trim_start_matches("http://").to_owned();
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (kept, server) = (Arc::clone(&kept), server.clone());
                // A client that has gone away is not the proxy's concern.
                std::thread::spawn(move || drop(tunnel(client, &server, &kept)));
            }
        });
        Self { address, seen }
    }

    fn first_lines(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|head| head[0].clone()).collect()
    }

    fn sees(&self, line: &str) -> bool {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .flatten()
            .any(|found| found.eq_ignore_ascii_case(line))
    }
}

fn tunnel(client: TcpStream, server: &str, seen: &Mutex<Vec<Vec<String>>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let allowed = head[0].starts_with("CONNECT ") && head[0].contains(":80 ");
    seen.lock().unwrap().push(head);
    let (mut from_client, mut to_client) = (client.try_clone()?, client);
    if !allowed {
        return to_client.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
    }
    let mut to_server = TcpStream::connect(server)?;
    let mut from_server = to_server.try_clone()?;
    to_client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
    std::io::copy(&mut from_server, &mut to_client)?;
    to_client.shutdown(std::net::Shutdown::Both)
}

fn hub() -> Hub {
    let hub = Hub::start();
    hub.push("models", "me/model", "step1", model(1));
    hub
}

#[test]
fn http_goes_through_its_proxy_which_finds_the_host() {
    for variable in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        let hub = hub();
        let proxy = Proxy::to(&hub.server.url);
        // Nobody but the proxy knows such a host.
        let study = Study::new("http://hub.invalid", HUB).with(variable, &proxy.address);
        study.run(&["run"]);
        assert!(proxy.first_lines().len() > 1, "{variable}");
        for line in proxy.first_lines() {
            assert_eq!(line, "CONNECT hub.invalid:80 HTTP/1.1", "{variable}");
        }
    }
}

#[test]
fn https_goes_through_its_own() {
    for variable in ["https_proxy", "HTTPS_PROXY"] {
        let hub = hub();
        let (proxy, other) = (Proxy::to(&hub.server.url), Proxy::to(&hub.server.url));
        let study = Study::new("https://hub.invalid", HUB)
            .with(variable, &format!("http://{}", proxy.address))
            .with("HTTP_PROXY", &other.address);
        let done = study.cpipe(&["run"]);
        assert_eq!(done.code, 10);
        assert!(done.err.contains("the proxy refused"), "{}", done.err);
        assert_eq!(proxy.first_lines(), ["CONNECT hub.invalid:443 HTTP/1.1"]);
        assert!(other.first_lines().is_empty());
    }
}

#[test]
fn hosts_in_no_proxy_are_reached_directly() {
    for variable in ["no_proxy", "NO_PROXY"] {
        let hub = hub();
        let proxy = Proxy::to(&hub.server.url);
        let study = Study::new(&hub.server.url, HUB)
            .with("HTTP_PROXY", &proxy.address)
            .with(variable, "elsewhere.org, 127.0.0.1");
        study.run(&["run"]);
        assert!(proxy.first_lines().is_empty(), "{variable}");
    }
}

#[test]
fn the_password_of_a_proxy_goes_to_it_alone() {
    let hub = hub();
    let proxy = Proxy::to(&hub.server.url);
    let address = format!("http://me:PROXY_SECRET@{}", proxy.address);
    let study = Study::new("http://hub.invalid", HUB).with("HTTP_PROXY", &address);
    let done = study.run(&["run"]);
    // `me:PROXY_SECRET` in base 64.
    assert!(proxy.sees("proxy-authorization: Basic bWU6UFJPWFlfU0VDUkVU"));
    let asked = hub.server.requests();
    assert!(
        asked
            .iter()
            .all(|(r, _)| !r.headers.contains_key("proxy-authorization"))
    );
    assert!(study.files_with("PROXY_SECRET").is_empty());
    assert!(!done.err.contains("PROXY_SECRET") && !done.out.contains("PROXY_SECRET"));

    let study =
        Study::new("http://hub.invalid", HUB).with("HTTP_PROXY", "socks5://me:PROXY_SECRET@a:1");
    let done = study.cpipe(&["run"]);
    assert_eq!(done.code, 10);
    assert!(
        done.err
            .contains("HTTP_PROXY is not the address of an HTTP proxy"),
        "{}",
        done.err
    );
    assert!(!done.err.contains("PROXY_SECRET"), "{}", done.err);
}
