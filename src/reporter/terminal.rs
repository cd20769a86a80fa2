use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cpipe_engine::Report;
use cpipe_engine::event::{Event, EventSink};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Bars on a terminal, plain lines elsewhere; always on stderr.
pub(crate) struct Terminal {
    bars: MultiProgress,
    interactive: bool,
    /// The command that shows what a node said.
    log: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    overall: Option<ProgressBar>,
    running: BTreeMap<String, ProgressBar>,
    wanted: usize,
    done: usize,
    failures: Vec<String>,
    /// Node that failed → the nodes that could not run because of it.
    skipped: BTreeMap<String, Vec<String>>,
}

impl Terminal {
    /// `log` is the command that shows what a node said.
    pub(crate) fn new(log: String) -> Self {
        let interactive = std::io::stderr().is_terminal();
        let target = if interactive {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            bars: MultiProgress::with_draw_target(target),
            interactive,
            log,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line that stays, above the bars.
    #[expect(clippy::print_stderr, reason = "this is the reporter")]
    fn say(&self, line: &str) {
        if self.interactive {
            // A terminal that can't be written to is not worth stopping for.
            let _ = self.bars.println(line);
        } else {
            eprintln!("{line}");
        }
    }

    fn started(&self, node: &str) {
        if !self.interactive {
            return;
        }
        let bar = self.bars.add(ProgressBar::new_spinner());
        bar.set_style(style("  {spinner} {msg} {elapsed}"));
        bar.set_message(node.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        self.lock().running.insert(node.to_owned(), bar);
    }

    fn progressed(&self, node: &str, done: u64, total: u64, unit: &str) {
        let state = self.lock();
        let Some(bar) = state.running.get(node) else {
            return;
        };
        if bar.length() != Some(total) {
            bar.set_length(total);
            let shown = format!(
                "  {{wide_msg}} {{bar:24}} {{human_pos}}/{{human_len}} {unit} {{per_sec}} eta {{eta}}"
            );
            bar.set_style(style(&shown));
        }
        bar.set_position(done);
    }

    fn ended(&self, node: &str) {
        let mut state = self.lock();
        if let Some(bar) = state.running.remove(node) {
            bar.finish_and_clear();
        }
        state.done += 1;
        if let Some(overall) = &state.overall {
            overall.set_position(state.done as u64);
        }
    }

    /// A node that will be tried again: its bar goes, it is not done.
    fn interrupted(&self, node: &str) {
        if let Some(bar) = self.lock().running.remove(node) {
            bar.finish_and_clear();
        }
    }

    fn warn_of_reads(&self, node: &str, report: &Report) {
        let read = report.facts.get("undeclared_reads");
        let paths = read.and_then(|read| read.as_array()).into_iter().flatten();
        for path in paths.filter_map(|path| path.as_str()) {
            self.say(&format!(
                "warning: {node} read {path}, which it does not declare"
            ));
        }
    }

    /// All failures once more, where a long run would have scrolled them away.
    fn summarise_failures(&self) {
        let failures = std::mem::take(&mut self.lock().failures);
        if failures.len() < 2 {
            return;
        }
        self.say(&format!("{} nodes failed:", failures.len()));
        for failure in failures {
            self.say(&format!("  {failure}"));
        }
        self.say(&format!("`{} NODE` shows what one said", self.log));
    }

    fn begin(&self, nodes: usize) {
        let overall = self.bars.add(ProgressBar::new(nodes as u64));
        overall.set_style(style("{bar:40} {pos}/{len} nodes {elapsed}"));
        let mut state = self.lock();
        state.wanted = nodes;
        state.overall = Some(overall);
    }
}

/// The first nodes, and how many more there are.
fn some_of(nodes: &[String]) -> String {
    match nodes {
        [first, second, third, _, more @ ..] if !more.is_empty() => {
            format!("{first}, {second}, {third} and {} more", more.len() + 1)
        }
        few => few.join(", "),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl EventSink for Terminal {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::RunStarted { nodes, .. } => self.begin(*nodes),
            Event::NodeCached { node, .. } => self.ended(node),
            Event::NodeStarted { node, .. } => self.started(node),
            Event::NodeProgress {
                node,
                done,
                total,
                unit,
            } => {
                self.progressed(node, *done, *total, unit);
            }
            Event::NodeFinished {
                node,
                seconds,
                report,
                ..
            } => {
                self.ended(node);
                let state = self.lock();
                let (done, wanted) = (state.done, state.wanted);
                drop(state);
                self.say(&format!("[{done}/{wanted}] {node} {seconds:.2} s"));
                self.warn_of_reads(node, report);
            }
            Event::NodeWaiting { node } => {
                self.say(&format!(
                    "{node} is being run by another cpipe; waiting for its result"
                ));
            }
            Event::NodeRetried {
                node,
                attempt,
                wait_seconds,
                message,
            } => {
                self.interrupted(node);
                self.say(&format!(
                    "{node} failed: {message}; attempt {attempt} in {wait_seconds:.1} s"
                ));
            }
            Event::NodeFailed {
                node,
                message,
                hint,
            } => {
                self.ended(node);
                self.lock().failures.push(format!("{node}: {message}"));
                self.say(&format!("error: {node} failed: {message}"));
                if let Some(hint) = hint {
                    self.say(&format!("  help: {hint}"));
                }
            }
            Event::NodeSkipped { node, because } => {
                self.ended(node);
                let mut state = self.lock();
                let nodes = state.skipped.entry((*because).to_owned()).or_default();
                nodes.push((*node).to_owned());
            }
            Event::Warning { message } => self.say(&format!("warning: {message}")),
            Event::RunFinished {
                complete,
                executed,
                cached,
                failed,
                seconds,
            } => {
                if let Some(overall) = self.lock().overall.take() {
                    overall.finish_and_clear();
                }
                let ended = if *complete && *executed == 0 {
                    "up to date: "
                } else {
                    ""
                };
                let skipped = std::mem::take(&mut self.lock().skipped);
                for (because, nodes) in skipped {
                    self.say(&format!("skipped {}: {because} failed", some_of(&nodes)));
                }
                self.summarise_failures();
                self.say(&format!(
                    "{ended}{executed} executed, {cached} cached, {failed} failed in {seconds:.2} s"
                ));
            }
        }
    }
}
