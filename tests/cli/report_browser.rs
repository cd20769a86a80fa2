//! The report as a browser shows it: headless Chromium (`CHROME`, or one on the `PATH`), and axe-core
//! (`AXE_CORE=…/axe.min.js`) for accessibility. Where they are not there, these tests say so and pass.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::published::{ARGUMENTS, published};

/// Looks at the page from inside and tells what it saw to the page around it.
const PROBE: &str = include_str!("../fixtures/report_probe.js");
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A browser with the report of the published study in a folder of its own.
struct Browser {
    program: PathBuf,
    folder: TempDir,
    page: String,
}

impl Browser {
    /// None, with a word about it, where there is no browser.
    fn open() -> Option<Self> {
        let program = program()?;
        let env = published();
        env.run(ARGUMENTS).assert_done();
        Some(Self {
            program,
            folder: TempDir::with_prefix("cpipe-browser-").unwrap(),
            page: env.read("outputs/published/report.html"),
        })
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs the browser on a file; returns what it printed.
    fn run(&self, file: &Path, arguments: &[&str]) -> String {
        let output = assert_cmd::Command::from_std(Command::new(&self.program))
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
            ])
            .args(["--no-first-run", "--virtual-time-budget=30000"])
            .arg(format!(
                "--user-data-dir={}",
                self.folder.path().join("profile").display()
            ))
            .args(arguments)
            .arg(format!("file://{}", file.display()))
            .timeout(Duration::from_secs(120))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What the probe finds in the page at this width and in this theme.
    fn probe(&self, width: u32, theme: &str) -> Value {
        let script = format!("{}\n{PROBE}", axe());
        // The page lets only its own script run; the probe is let in beside it.
        let start = self.page.find("script-src '").unwrap();
        let end = start + self.page[start..].find(';').unwrap();
        let page = format!(
            "{}script-src 'unsafe-inline'{}",
            &self.page[..start],
            &self.page[end..]
        );
        let page = page.replacen(
            "<html lang=\"en\">",
            &format!("<html lang=\"en\" data-theme=\"{theme}\">"),
            1,
        );
        let page = page.replacen("</body>", &format!("<script>{script}</script></body>"), 1);
        self.write("probed.html", &page);
        // A window cannot be as narrow as a phone, a frame can.
        let frame = format!(
            "<!DOCTYPE html><iframe src=\"probed.html\" width=\"{width}\" height=\"780\"></iframe>\
             <pre id=\"told\"></pre><script>onmessage = (e) => {{ told.textContent = btoa(e.data); }};</script>"
        );
        let dumped = self.run(
            &self.write("frame.html", &frame),
            &["--window-size=1400,900", "--dump-dom"],
        );
        let told = dumped
            .split("<pre id=\"told\">")
            .nth(1)
            .and_then(|rest| rest.split("</pre>").next());
        let told = decoded(told.unwrap_or_default());
        serde_json::from_str(&told).unwrap_or_else(|e| panic!("{e}: `{told}`"))
    }
}

/// Text from Base64, which no character of it can end early.
fn decoded(text: &str) -> String {
    use base64::Engine;
    let bytes = base64::prelude::BASE64_STANDARD
        .decode(text.trim())
        .unwrap();
    String::from_utf8(bytes).unwrap()
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn program() -> Option<PathBuf> {
    if let Some(program) = std::env::var_os("CHROME") {
        return Some(program.into());
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders)
        .flat_map(|folder| BROWSERS.map(|name| folder.join(name)))
        .find(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: no Chromium on the PATH or in CHROME");
    }
    found
}

/// The checker of accessibility; nothing, with a word about it, where it is not there.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn axe() -> String {
    match std::env::var_os("AXE_CORE") {
        Some(path) => std::fs::read_to_string(path)
            .unwrap()
            .replace("</script", "<\\/script"),
        None => {
            eprintln!("accessibility is not checked: AXE_CORE names no axe.min.js");
            String::new()
        }
    }
}

#[test]
fn it_is_accessible_fits_a_phone_sorts_copies_and_fetches_nothing() {
    let Some(browser) = Browser::open() else {
        return;
    };
    for (width, theme) in [
        (1280, "light"),
        (1280, "dark"),
        (360, "light"),
        (360, "dark"),
    ] {
        let seen = browser.probe(width, theme);
        let at = format!("{width} {theme}: {seen}");
        assert_eq!(seen["width"], width, "{at}");
        assert_eq!(seen["theme"], theme, "{at}");
        let rules = if axe().is_empty() { 0 } else { 20 };
        assert!(seen["rules"].as_u64() >= Some(rules), "{at}");
        assert_eq!(seen["violations"].as_array().unwrap().len(), 0, "{at}");
        assert_eq!(seen["fetched"].as_array().unwrap().len(), 0, "{at}");
        assert!(
            seen["page_width"].as_u64() <= Some(u64::from(width)),
            "{at}"
        );
        // The ratios of the cells, by their full values, up and then down; and what is copied.
        assert_eq!(
            seen["sorted"],
            serde_json::json!(["ascending", true, "descending", true]),
            "{at}"
        );
        assert!(
            seen["tsv"]
                .as_str()
                .unwrap()
                .starts_with("claim\tverdict\texpected\t"),
            "{at}"
        );
        assert!(
            seen["latex"]
                .as_str()
                .unwrap()
                .starts_with("\\begin{tabular}{lllrll}"),
            "{at}"
        );
        assert_eq!(seen["unfolded"], true, "{at}");
    }
}

#[test]
fn it_can_be_seen_and_printed() {
    let Some(browser) = Browser::open() else {
        return;
    };
    let file = browser.write("report.html", &browser.page);
    for (name, dark) in [("light", "1"), ("dark", "0")] {
        let shot = browser.folder.path().join(format!("{name}.png"));
        let arguments = [
            &format!("--screenshot={}", shot.display()),
            &format!("--blink-settings=preferredColorScheme={dark}"),
            "--window-size=1280,2400",
        ];
        browser.run(&file, &arguments);
        let (colours, brightness) = colours(&shot);
        // The page, and figures in it: far more than text on a ground.
        assert!(colours > 500, "{name}: {colours} colours");
        assert_eq!(brightness > 128, name == "light", "{name}: {brightness}");
    }
    let print = browser.folder.path().join("report.pdf");
    browser.run(&file, &[&format!("--print-to-pdf={}", print.display())]);
    let print = std::fs::read(print).unwrap();
    assert!(print.starts_with(b"%PDF-"));
    let pages = print
        .windows(12)
        .filter(|part| part.starts_with(b"/Type /Page\n"))
        .count();
    assert!(pages >= 4, "{pages} pages");
}

/// How many colours a picture has, and how bright its corner is.
fn colours(path: &Path) -> (usize, u8) {
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    let pixel = info.color_type.samples();
    let pixels: std::collections::BTreeSet<&[u8]> = bytes.chunks_exact(pixel).collect();
    (pixels.len(), bytes[0])
}
