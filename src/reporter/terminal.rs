use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cpipe_engine::event::{Event, EventSink};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Bars on a terminal, plain lines elsewhere; always on stderr.
pub(crate) struct Terminal {
    bars: MultiProgress,
    interactive: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    overall: Option<ProgressBar>,
    running: BTreeMap<String, ProgressBar>,
    wanted: usize,
    done: usize,
    /// Node that failed → the nodes that could not run because of it.
    skipped: BTreeMap<String, Vec<String>>,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        let interactive = std::io::stderr().is_terminal();
        let target = if interactive {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            bars: MultiProgress::with_draw_target(target),
            interactive,
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
            Event::NodeFinished { node, seconds, .. } => {
                self.ended(node);
                let state = self.lock();
                let (done, wanted) = (state.done, state.wanted);
                drop(state);
                self.say(&format!("[{done}/{wanted}] {node} {seconds:.2} s"));
            }
            Event::NodeFailed {
                node,
                message,
                hint,
            } => {
                self.ended(node);
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
                executed,
                cached,
                failed,
                seconds,
            } => {
                if let Some(overall) = self.lock().overall.take() {
                    overall.finish_and_clear();
                }
                let skipped = std::mem::take(&mut self.lock().skipped);
                for (because, nodes) in skipped {
                    self.say(&format!("skipped {}: {because} failed", some_of(&nodes)));
                }
                let ended = if *executed == 0 && *failed == 0 {
                    "up to date: "
                } else {
                    ""
                };
                self.say(&format!(
                    "{ended}{executed} executed, {cached} cached, {failed} failed in {seconds:.2} s"
                ));
            }
        }
    }
}
