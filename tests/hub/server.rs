//! A small web server on the loopback, whose answers a test decides.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a client asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Path with its query.
    pub(crate) path: String,
    /// Lower-case name → value.
    pub(crate) headers: BTreeMap<String, String>,
    /// How many requests for the same path came before.
    pub(crate) earlier: usize,
}

impl Request {
    /// First byte that is asked for.
    pub(crate) fn start(&self) -> Option<usize> {
        let range = self.headers.get("range")?;
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse()
            .ok()
    }
}

/// What the server answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Cut the connection after so many bytes of the body.
    pub(crate) cut: Option<usize>,
    /// Fall silent before the answer, or where it is cut.
    pub(crate) silence: Option<Duration>,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..Self::status(200)
        }
    }

    /// A file with Range, If-Range and an entity tag.
    pub(crate) fn file(request: &Request, bytes: &[u8], tag: &str) -> Self {
        let reply = |status, body: &[u8]| Self {
            status,
            body: body.to_vec(),
            ..Self::default()
        };
        let tag = format!("\"{tag}\"");
        let same = request.headers.get("if-range").is_none_or(|t| *t == tag);
        let length = bytes.len();
        let made = match request.start().filter(|_| same) {
            Some(start) if start >= length => {
                reply(416, b"").header("content-range", &format!("bytes */{length}"))
            }
            Some(start) => reply(206, &bytes[start..]).header(
                "content-range",
                &format!("bytes {start}-{}/{length}", length - 1),
            ),
            None => reply(200, bytes),
        };
        made.header("etag", &tag)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Bytes of the body that are really sent.
    fn sent(&self) -> &[u8] {
        &self.body[..self.cut.unwrap_or(usize::MAX).min(self.body.len())]
    }
}

/// A running server; its threads end with the process.
pub(crate) struct Server {
    pub(crate) url: String,
    log: Arc<Mutex<Vec<(Request, usize)>>>,
}

impl Server {
    /// Answers every request with what `answer` says.
    pub(crate) fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (answer, kept) = (Arc::new(answer), Arc::clone(&log));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, kept) = (Arc::clone(&answer), Arc::clone(&kept));
                std::thread::spawn(move || serve(&stream, answer.as_ref(), &kept));
            }
        });
        Self { url, log }
    }

    /// All requests so far, each with the bytes of the body that were sent.
    pub(crate) fn requests(&self) -> Vec<(Request, usize)> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.clone()
    }

    /// Bytes of bodies that were sent for paths that contain `part`.
    pub(crate) fn sent(&self, part: &str) -> usize {
        let requests = self.requests();
        let matching = requests.iter().filter(|(r, _)| r.path.contains(part));
        matching.map(|(_, sent)| sent).sum()
    }
}

fn serve(
    stream: &TcpStream,
    answer: &(dyn Fn(&Request) -> Reply + Send + Sync),
    log: &Mutex<Vec<(Request, usize)>>,
) {
    let Some(mut request) = read_request(stream) else {
        return;
    };
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    request.earlier = log.iter().filter(|(r, _)| r.path == request.path).count();
    let reply = answer(&request);
    log.push((request, reply.sent().len()));
    drop(log);
    // A client that has gone away is not the server's concern.
    let _ = write_reply(stream, &reply);
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line.ok()?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    Some(Request {
        path,
        headers,
        earlier: 0,
    })
}

fn write_reply(mut stream: &TcpStream, reply: &Reply) -> std::io::Result<()> {
    if let Some(time) = reply.silence.filter(|_| reply.cut.is_none()) {
        std::thread::sleep(time);
    }
    let mut lines = vec![
        format!("HTTP/1.1 {} x", reply.status),
        "connection: close".to_owned(),
    ];
    if !reply
        .headers
        .iter()
        .any(|(name, _)| name == "content-length")
    {
        lines.push(format!("content-length: {}", reply.body.len()));
    }
    for (name, value) in &reply.headers {
        lines.push(format!("{name}: {value}"));
    }
    stream.write_all((lines.join("\r\n") + "\r\n\r\n").as_bytes())?;
    stream.write_all(reply.sent())?;
    stream.flush()?;
    if let Some(time) = reply.silence.filter(|_| reply.cut.is_some()) {
        std::thread::sleep(time);
    }
    Ok(())
}
