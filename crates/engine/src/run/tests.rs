//! Run, change one thing, run again: exactly which nodes ran, and with which reasons.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{RunOptions, Status, Summary, check_sources, plan, run};
use crate::Cache;
use crate::cache::StatCache;
use crate::event::{Event, EventSink};
use crate::plan::Workspace;
use crate::records::{self, History, RunInfo, RunState};
use crate::seen::Seen;
use crate::spec::{self, Options, Pipeline};
use crate::testing::FakeRegistry;
use crate::why::{Verdict, why};

const CHAIN: &str = "
version: 1
vars: { text: a, tail: z }
matrix: { m: [x, y] }
sources: { data: { path: data.txt } }
stages:
  load: { run: { read: { source: data } } }
  each: { over: [m], needs: { inputs: load }, run: { join: { text: '${m}${text}' } } }
  all: { needs: { inputs: each }, run: { join: { text: '${tail}' } }, export: . }
";

/// A study in a temporary folder.
struct Study {
    dir: tempfile::TempDir,
    text: String,
    sets: Vec<(String, String)>,
    options: RunOptions,
}

/// What a run did.
struct Ran {
    summary: Summary,
    /// Node → why it ran, in order of label.
    nodes: BTreeMap<String, String>,
    failures: Vec<String>,
    warnings: Vec<String>,
}

#[derive(Default)]
struct Recorder {
    started: Mutex<BTreeMap<String, String>>,
    failures: Mutex<Vec<String>>,
    warnings: Mutex<Vec<String>>,
    /// Interrupts once a node has started.
    cancel_on_start: Option<&'static AtomicBool>,
}

impl EventSink for Recorder {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::NodeStarted { node, reason, .. } => {
                let mut started = self.started.lock().unwrap();
                started.insert((*node).to_owned(), reason.to_string());
                if let Some(cancel) = self.cancel_on_start {
                    cancel.store(true, Ordering::Relaxed);
                }
            }
            Event::NodeFailed { node, message, .. } => {
                let failure = format!("{node}: {message}");
                self.failures.lock().unwrap().push(failure);
            }
            Event::Warning { message } => self.warnings.lock().unwrap().push(message.clone()),
            _ => {}
        }
    }
}

impl Study {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("data.txt"), "data\n").unwrap();
        Self {
            dir,
            text: text.to_owned(),
            sets: Vec::new(),
            options: RunOptions {
                jobs: 2,
                info: RunInfo {
                    profile: "default".into(),
                    ..RunInfo::default()
                },
                ..RunOptions::default()
            },
        }
    }

    fn set(&mut self, key: &str, value: &str) {
        self.sets.retain(|(known, _)| known != key);
        self.sets.push((key.to_owned(), value.to_owned()));
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn cache(&self) -> Cache {
        Cache::open(&self.root().join("cache")).unwrap()
    }

    fn pipeline(&self) -> Pipeline {
        let options = Options {
            sets: self.sets.clone(),
            ..Options::default()
        };
        let registry = FakeRegistry::default();
        spec::load(self.root(), &self.text, &options, &registry).unwrap_or_else(|e| panic!("{e:?}"))
    }

    /// Gives a workspace with the nodes that selectors mean to `work`.
    fn with<R>(
        &self,
        selectors: &[&str],
        work: impl FnOnce(&Workspace<'_>, &[petgraph::graph::NodeIndex]) -> R,
    ) -> R {
        let pipeline = self.pipeline();
        let cache = self.cache();
        let stats = StatCache::open(cache.root(), false);
        let history = History::new(&cache, &self.options.info);
        let workspace = Workspace {
            graph: &pipeline.graph,
            cache: &cache,
            stats: &stats,
            seen: &Seen::default(),
            history: &history,
            outputs: self.root().join("outputs"),
        };
        let selectors: Vec<String> = selectors.iter().map(|s| (*s).to_owned()).collect();
        let targets = match selectors.as_slice() {
            [] => pipeline.graph.dag.node_indices().collect(),
            selectors => pipeline.graph.select(selectors).unwrap(),
        };
        work(&workspace, &targets)
    }

    fn run(&self, selectors: &[&str]) -> Ran {
        self.run_with(selectors, &Recorder::default(), &AtomicBool::new(false))
    }

    fn run_with(&self, selectors: &[&str], sink: &Recorder, cancel: &AtomicBool) -> Ran {
        let summary = self.with(selectors, |workspace, targets| {
            run(workspace, targets, &self.options, cancel, sink).unwrap()
        });
        Ran {
            summary,
            nodes: std::mem::take(&mut sink.started.lock().unwrap()),
            failures: std::mem::take(&mut sink.failures.lock().unwrap()),
            warnings: std::mem::take(&mut sink.warnings.lock().unwrap()),
        }
    }

    fn output(&self) -> String {
        std::fs::read_to_string(self.root().join("outputs/out.txt")).unwrap()
    }

    fn blob_of(&self, node: &str) -> PathBuf {
        self.with(&[node], |workspace, targets| {
            let known = crate::plan::known(workspace, targets).unwrap();
            let manifest = known[targets[0].index()].as_ref().unwrap();
            workspace
                .cache
                .blobs
                .path(manifest.outputs["out.txt"].digest)
        })
    }
}

fn names(ran: &Ran) -> Vec<&str> {
    ran.nodes.keys().map(String::as_str).collect()
}

fn overwrite(path: &Path, bytes: &[u8]) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_second_run_does_nothing_and_a_change_runs_what_follows_from_it() {
    let mut study = Study::new(CHAIN);
    let first = study.run(&[]);
    assert_eq!(names(&first), ["all", "each[m=x]", "each[m=y]", "load"]);
    assert_eq!(first.nodes["all"], "never ran");
    let again = study.run(&[]);
    assert_eq!((again.summary.executed, again.summary.cached), (0, 4));
    study.set("tail", "new");
    let changed = study.run(&[]);
    assert_eq!(names(&changed), ["all"]);
    assert_eq!(changed.nodes["all"], "params.text: z → new");
    study.set("text", "b");
    let changed = study.run(&[]);
    assert_eq!(names(&changed), ["all", "each[m=x]", "each[m=y]"]);
    assert!(changed.nodes["all"].starts_with("input inputs[m=x]/out.txt: "));
    study.set("text", "a");
    study.set("tail", "z");
    assert_eq!(
        study.run(&[]).summary.executed,
        0,
        "the first results are still there"
    );
    assert!(study.output().starts_with("z 0\n"));
}

#[test]
fn a_source_counts_by_its_content() {
    let study = Study::new(CHAIN);
    study.run(&[]);
    let path = study.root().join("data.txt");
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(10);
    let file = std::fs::File::options().append(true).open(&path).unwrap();
    file.set_modified(later).unwrap();
    assert_eq!(study.run(&[]).summary.executed, 0);
    std::fs::write(&path, "other\n").unwrap();
    assert_eq!(study.run(&[]).summary.executed, 4);
}

#[test]
fn what_is_not_part_of_the_key_reruns_nothing() {
    let mut study = Study::new(CHAIN);
    study.run(&[]);
    study.options.jobs = 7;
    study.options.trace = true;
    assert_eq!(study.run(&[]).summary.executed, 0);
    study.text = CHAIN.replace(
        "export: .",
        "export: ., retries: 3, timeout: 1h, resources: { cores: 2 }",
    );
    assert_eq!(study.run(&[]).summary.executed, 0);
}

#[test]
fn equal_bytes_stop_the_rebuild() {
    let mut study = Study::new(&CHAIN.replace("text: '${m}${text}'", "count: 1"));
    study.text += "  ignored: { needs: { input: load }, run: { copy: { text: '${text}' } } }\n";
    study.run(&[]);
    std::fs::write(study.root().join("data.txt"), "data\n").unwrap();
    study.set("text", "changed");
    assert_eq!(names(&study.run(&[])), ["ignored"]);
}

#[test]
fn plan_says_what_run_does() {
    let mut study = Study::new(CHAIN);
    let statuses = |study: &Study| {
        study.with(&[], |workspace, targets| {
            let found = plan(workspace, targets, &study.options)
                .unwrap()
                .into_iter();
            found
                .map(|(index, status)| (workspace.node(index).label().to_owned(), status))
                .collect::<BTreeMap<String, Status>>()
        })
    };
    let before = statuses(&study);
    assert!(matches!(&before["load"], Status::WouldRun(r) if r.to_string() == "never ran"));
    assert!(matches!(&before["all"], Status::Unknown(_)));
    assert!(!study.root().join("outputs").exists());
    study.run(&[]);
    assert!(
        statuses(&study)
            .values()
            .all(|s| matches!(s, Status::Cached(_)))
    );
    study.set("tail", "q");
    let changed = statuses(&study);
    assert!(matches!(&changed["all"], Status::WouldRun(_)));
    assert!(matches!(&changed["each[m=x]"], Status::Cached(_)));
    // The bytes of an input that has to be read are gone: plan knows what run will do.
    std::fs::remove_file(study.blob_of("each[m=x]")).unwrap();
    let lost = statuses(&study);
    assert!(matches!(&lost["each[m=x]"], Status::WouldRun(_)));
    assert!(matches!(&lost["all"], Status::Unknown(_)));
    assert_eq!(names(&study.run(&[])), ["all", "each[m=x]"]);
}

#[test]
fn damage_is_a_miss_and_never_leaves_the_cache() {
    let mut study = Study::new(CHAIN);
    study.run(&[]);
    let whole = study.output();
    let blob = study.blob_of("each[m=x]");
    overwrite(&blob, b"wrong");
    study.set("tail", "q");
    let ran = study.run(&[]);
    assert_eq!(names(&ran), ["all", "each[m=x]"]);
    assert!(
        ran.warnings[0].contains("was damaged; it is made again"),
        "{:?}",
        ran.warnings
    );
    study.set("tail", "z");
    overwrite(&study.blob_of("all"), b"wrong");
    std::fs::remove_dir_all(study.root().join("outputs")).unwrap();
    assert_eq!(names(&study.run(&[])), ["all"]);
    assert_eq!(study.output(), whole);
}

#[test]
fn outputs_are_restored_and_edits_are_set_aside() {
    let study = Study::new(CHAIN);
    study.run(&[]);
    let whole = study.output();
    std::fs::remove_dir_all(study.root().join("outputs")).unwrap();
    assert_eq!(study.run(&[]).summary.executed, 0);
    assert_eq!(study.output(), whole);
    let path = study.root().join("outputs/out.txt");
    std::fs::write(&path, "mine").unwrap();
    let ran = study.run(&[]);
    assert_eq!((ran.summary.executed, study.output()), (0, whole));
    assert!(ran.warnings[0].starts_with("an edited output was kept as"));
    let folder = std::fs::read_dir(path.parent().unwrap()).unwrap();
    let kept = folder.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    assert!(kept.into_iter().any(|text| text == "mine"));
}

#[test]
fn only_takes_inputs_from_the_cache_and_looks_at_nothing_upstream() {
    let mut study = Study::new(CHAIN);
    study.options.only = true;
    let ran = study.run(&["all"]);
    assert_eq!(
        ran.failures,
        ["all: it needs load, which is not in the cache"]
    );
    study.options.only = false;
    study.run(&[]);
    std::fs::remove_file(study.root().join("data.txt")).unwrap();
    study.options.only = true;
    study.set("tail", "q");
    let ran = study.run(&["all"]);
    assert_eq!((names(&ran), ran.summary.failed), (vec!["all"], 0));
}

#[test]
fn a_failure_stops_its_dependants_only() {
    let mut study = Study::new(CHAIN);
    study.text += "  bad: { needs: { input: load }, run: { copy: { fail: true } } }\n  \
                   worse: { needs: { input: bad }, run: { copy: {} } }\n";
    let ran = study.run(&[]);
    assert_eq!(ran.failures, ["bad: it was told to fail"]);
    assert_eq!(
        (
            ran.summary.executed,
            ran.summary.failed,
            ran.summary.skipped
        ),
        (4, 1, 1)
    );
    let record = records::runs(&study.cache()).unwrap().pop().unwrap();
    assert_eq!((record.state, record.failed), (RunState::Failed, 1));
}

#[test]
fn a_retry_succeeds_and_is_found_by_the_next_run() {
    let mut study = Study::new(
        "version: 1\nstages: { a: { run: { make: { flaky: 2 } }, retries: { times: 2, wait: 10ms } } }\n",
    );
    let ran = study.run(&[]);
    assert_eq!((ran.summary.executed, ran.summary.failed), (1, 0));
    let nodes = records::nodes(&study.cache(), &records::runs(&study.cache()).unwrap()[0]);
    assert_eq!(nodes[0].attempts, 3);
    assert_eq!(study.run(&[]).summary.executed, 0);
    study.text = study.text.replace("flaky: 2", "flaky: 3");
    assert_eq!(study.run(&[]).failures, ["a: it failed for now"]);
}

#[test]
fn a_node_that_takes_too_long_is_stopped() {
    let study =
        Study::new("version: 1\nstages: { a: { run: { make: { hang: true } }, timeout: 30ms } }\n");
    let failures = study.run(&[]).failures;
    assert_eq!(failures, ["a: it was stopped after its time-out of 30ms"]);
}

#[test]
fn an_interruption_stops_cleanly_and_is_recorded() {
    static CANCEL: AtomicBool = AtomicBool::new(false);
    let study = Study::new("version: 1\nstages: { a: { run: { make: { hang: true } } } }\n");
    let sink = Recorder {
        cancel_on_start: Some(&CANCEL),
        ..Recorder::default()
    };
    let ran = study.run_with(&[], &sink, &CANCEL);
    assert!(ran.summary.interrupted && ran.summary.failed == 0);
    let record = records::runs(&study.cache()).unwrap().pop().unwrap();
    assert_eq!(record.state, RunState::Interrupted);
}

#[test]
fn a_node_that_asks_for_more_than_there_is_says_so() {
    let mut study =
        Study::new("version: 1\nstages: { a: { run: { make: {} }, resources: { gpus: 2 } } }\n");
    study.options.pools = BTreeMap::from([("gpus".to_owned(), 1)]);
    assert_eq!(
        study.run(&[]).failures,
        ["a: it needs 2 of `gpus`, and there are 1"]
    );
    study.options.pools = BTreeMap::from([("gpus".to_owned(), 2)]);
    assert_eq!(study.run(&[]).summary.executed, 1);
    study.options.pools.clear();
    assert_eq!(study.run(&[]).failures.len(), 0, "a result needs no card");
}

#[test]
fn forced_nodes_run_again() {
    let mut study = Study::new(CHAIN);
    study.run(&[]);
    study.options.force = study.with(&["each[m=x]"], |_, targets| {
        targets.iter().copied().collect::<BTreeSet<_>>()
    });
    let ran = study.run(&[]);
    assert_eq!(
        (names(&ran), ran.nodes["each[m=x]"].as_str()),
        (vec!["each[m=x]"], "forced")
    );
}

#[test]
fn sources_that_are_not_as_declared_are_told_before_any_work() {
    let pin = "00".repeat(32);
    let study = Study::new(&CHAIN.replace("data.txt }", &format!("data.txt, blake3: '{pin}' }}")));
    let problems = study.with(&[], |workspace, targets| {
        check_sources(workspace, targets).unwrap()
    });
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].expected.as_ref().unwrap().hex, pin);
    assert!(problems[0].found.is_some());
}

#[test]
fn why_goes_down_to_where_the_change_began() {
    let mut study = Study::new(CHAIN);
    study.run(&[]);
    let ask = |study: &Study| {
        study.with(&["all"], |workspace, targets| {
            why(workspace, targets[0]).unwrap()
        })
    };
    assert_eq!(ask(&study)[0].verdict, Verdict::First);
    study.set("text", "b");
    let before = ask(&study);
    assert_eq!(before[0].verdict, Verdict::Waits("each[m=x]".into()));
    assert_eq!(before[1].verdict, Verdict::WouldRun);
    assert_eq!(before[1].changes[0].to_string(), "params.text: xa → xb");
    study.run(&[]);
    let steps = ask(&study);
    assert_eq!(steps[0].verdict, Verdict::Cached);
    let began: Vec<&str> = steps[1..].iter().map(|s| s.node.as_str()).collect();
    assert_eq!(began, ["each[m=x]", "each[m=y]"]);
    assert_eq!(steps[1].changes[0].to_string(), "params.text: xa → xb");
}

#[test]
fn garbage_collection_keeps_what_kept_runs_need() {
    use crate::cache::{GcOptions, collect_garbage, verify};
    let mut study = Study::new(CHAIN);
    study.options.info.name = Some("first".into());
    study.run(&[]);
    study.options.info.name = None;
    for tail in ["p", "q"] {
        study.set("tail", tail);
        study.run(&[]);
    }
    let mut options = GcOptions {
        keep_sets: true,
        keep_runs: 1,
        budget: None,
        dear: f64::INFINITY,
        dry_run: true,
    };
    let cache = study.cache();
    let planned = collect_garbage(&cache, &options).unwrap();
    assert_eq!((planned.actions, planned.blobs), (1, 1));
    options.dry_run = false;
    assert_eq!(collect_garbage(&cache, &options).unwrap(), planned);
    assert!(verify(&cache, false).unwrap().is_clean());
    assert_eq!(study.run(&[]).summary.executed, 0);
    study.set("tail", "z");
    assert_eq!(study.run(&[]).summary.executed, 0, "the named run is kept");
    options.budget = Some(0);
    let emptied = collect_garbage(&cache, &options).unwrap();
    assert_eq!(emptied.kept_bytes, 0);
    assert_eq!(
        study.run(&[]).summary.executed,
        0,
        "manifests outlive their blobs"
    );
    study.set("tail", "r");
    assert_eq!(
        study.run(&[]).summary.executed,
        4,
        "bytes that are needed are made again"
    );
}
