//! The command line: doc comments here are the help text.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use cpipe_lm::Device;

/// Declarative, reproducible pipelines for measurement studies of language models.
///
/// Reads pipeline.yaml, keys every stage by the digests of what it depends on, keeps every output in
/// a content-addressed cache, and runs only what changed.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
}

const EXIT_CODES: &str = "Exit codes: 0 all done, 1 internal error, 2 usage, 10 pipeline.yaml or a \
source is not valid, 20 a node failed, 30 cache or I/O, 130 interrupted.";

/// Which pipeline, and how.
#[derive(Clone, Debug, Args)]
pub(crate) struct PipelineArgs {
    /// The pipeline file; its folder is where relative paths start.
    #[arg(
        short,
        long,
        global = true,
        default_value = "pipeline.yaml",
        value_name = "PATH"
    )]
    pub(crate) file: PathBuf,
    /// Profile to use instead of the default one.
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Set a variable, or any value by its dotted path; may be repeated.
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) sets: Vec<(String, String)>,
    /// Cache folder [default: `cache` beside the pipeline file].
    #[arg(long, global = true, env = "CPIPE_CACHE", value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Hash every source again instead of trusting sizes and times.
    #[arg(long, global = true)]
    pub(crate) rehash: bool,
    /// Where models compute: `cpu`, the NVIDIA card `cuda:N`, or `auto`: all cards if there are any.
    #[arg(
        long,
        global = true,
        env = "CPIPE_DEVICE",
        default_value = "auto",
        value_name = "DEVICE"
    )]
    pub(crate) device: Device,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("expected KEY=VALUE, found `{text}`"))?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring stages and everything they need up to date.
    #[command(after_help = "Examples:
  cpipe run                              everything
  cpipe run fit plot                     these stages and what they need
  cpipe run 'score[model=nano-25k]'      some cells of a stage
  cpipe run 'tokenize+'                  a stage, what it needs and what needs it
  cpipe run --only plot                  just this, from cached inputs
  cpipe run --from fit --until plot      what lies between
  cpipe run --set chunks=64              with a variable changed")]
    Run(RunArgs),
    /// Say what a run would do, and why, without doing it.
    #[command(after_help = "Example: cpipe plan --set stages.fit.run.fit.bootstrap=500")]
    Plan(PlanArgs),
    /// Say why a node would run, or ran last, down to where the change began.
    #[command(after_help = "Example: cpipe why fit --set seed=1")]
    Why(WhyArgs),
    /// Say how much of each stage is up to date.
    #[command(after_help = "Example: cpipe status")]
    Status(StatusArgs),
    /// Show the graph of stages.
    #[command(after_help = "Examples:
  cpipe graph --format dot | dot -Tsvg > graph.svg
  cpipe graph --nodes '+fit'")]
    Graph(GraphArgs),
    /// Write an artifact to stdout.
    #[command(after_help = "Examples:
  cpipe cat fit:fits.json
  cpipe cat 'score[model=nano-25k,step=64,modality=text]:scores.parquet' --format csv")]
    Cat(CatArgs),
    /// Ask the fitted laws.
    #[command(after_help = "Example: cpipe fit predict --params 5e9 --step 200000 --modality text")]
    Fit(FitArgs),
    /// Write the report: one page with the study, its numbers and where they come from.
    #[command(after_help = "Example: cpipe report --profile published")]
    Report,
    /// List the runs on record.
    #[command(after_help = "Example: cpipe runs --last 5")]
    Runs(RunsArgs),
    /// Show a node's action, artifacts and how it was executed; or a run by its name.
    #[command(after_help = "Examples:
  cpipe show fit
  cpipe show latest")]
    Show(ShowArgs),
    /// Write a node's log to stdout.
    #[command(after_help = "Example: cpipe log best")]
    Log(LogArgs),
    /// Compare parameters, artifacts and metrics of two runs.
    #[command(after_help = "Examples:
  cpipe diff                             the last two runs
  cpipe diff baseline latest             a named run and the last one")]
    Diff(DiffArgs),
    /// Hash everything in the cache again and name what is damaged.
    #[command(after_help = "Example: cpipe verify --repair")]
    Verify(VerifyArgs),
    /// Remove what no run that is kept needs, unless it is small and was dear to make.
    #[command(after_help = "Examples:
  cpipe gc --dry-run
  cpipe gc --keep-runs 3 --max-size 20GB")]
    Gc(GcArgs),
    /// Say what each stage occupies in the cache.
    #[command(after_help = "Example: cpipe du")]
    Du(DuArgs),
    /// Read sources again and write what they are now into pipeline.yaml or cpipe.lock.
    #[command(after_help = "Example: cpipe update --pin")]
    Update(UpdateArgs),
    /// Print the JSON Schema of pipeline.yaml.
    #[command(after_help = "Example: cpipe schema > pipeline.schema.json")]
    Schema,
    /// Write a commented pipeline.yaml that runs.
    #[command(after_help = "Example: cpipe init && cpipe run")]
    Init,
    /// Print a completion script.
    #[command(after_help = "Example: cpipe completions bash > /etc/bash_completion.d/cpipe")]
    Completions(CompletionsArgs),
    /// Print the man page.
    #[command(after_help = "Example: cpipe man | man -l -")]
    Man,
}

/// Which nodes.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Selection {
    /// Stages or nodes, such as `fit`, `score[step=64]`, `+fit` or `fit+`; all if none is given.
    #[arg(value_name = "SELECTOR")]
    pub(crate) selectors: Vec<String>,
    /// Exactly these nodes from cached inputs, looking at nothing upstream.
    #[arg(long, value_name = "SELECTOR", conflicts_with = "selectors")]
    pub(crate) only: Vec<String>,
    /// These nodes and all that need them.
    #[arg(long, value_name = "SELECTOR", conflicts_with_all = ["selectors", "only"])]
    pub(crate) from: Vec<String>,
    /// Nothing beyond these nodes.
    #[arg(long, value_name = "SELECTOR", conflicts_with_all = ["selectors", "only"])]
    pub(crate) until: Vec<String>,
    /// Count these nodes as not up to date.
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) force: Vec<String>,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags, each by itself")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Say what would be done and stop (the same as `cpipe plan`).
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Refuse remote sources that are not in cpipe.lock instead of looking them up.
    #[arg(long)]
    pub(crate) locked: bool,
    /// Cores to use [default: all].
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
    /// Print one JSON object per event.
    #[arg(long)]
    pub(crate) json: bool,
    /// Name the run, so that `gc` keeps what it needs and `diff` finds it.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Run programs under strace and report files that they read without declaring them.
    #[arg(long)]
    pub(crate) trace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Print one JSON object per node.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Stages or nodes; all if none is given.
    #[arg(value_name = "SELECTOR")]
    pub(crate) selectors: Vec<String>,
    /// Print one JSON object per stage.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// One node.
    #[arg(value_name = "NODE")]
    pub(crate) node: String,
    /// Print one JSON object per step.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// Show this many at most.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) last: usize,
    /// Print one JSON object per run.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// A node; or a run's id or name, `latest`, `latest~1`.
    #[arg(value_name = "NODE|RUN")]
    pub(crate) what: String,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// One node.
    #[arg(value_name = "NODE")]
    pub(crate) node: String,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// A run's id or name, `latest`, `latest~1`.
    #[arg(value_name = "RUN_A", default_value = "latest~1")]
    pub(crate) a: String,
    /// The run that it is compared with.
    #[arg(value_name = "RUN_B", default_value = "latest")]
    pub(crate) b: String,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DuArgs {
    /// Print one JSON object per stage.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// How to draw it.
    #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
    pub(crate) format: GraphFormat,
    /// Draw every node instead of every stage.
    #[arg(long)]
    pub(crate) nodes: bool,
    /// Stages or nodes; all if none is given.
    #[arg(value_name = "SELECTOR")]
    pub(crate) selectors: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Lines of text.
    Text,
    /// Graphviz.
    Dot,
    /// Mermaid, which GitHub draws.
    Mermaid,
}

#[derive(Debug, Args)]
pub(crate) struct CatArgs {
    /// Node and output, such as `fit:fits.json`; for a folder `NODE:OUTPUT/FILE`.
    #[arg(value_name = "NODE:OUTPUT")]
    pub(crate) artifact: String,
    /// Convert a Parquet table.
    #[arg(long, value_enum)]
    pub(crate) format: Option<TableFormat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
    /// Comma-separated values.
    Csv,
    /// A JSON array of objects.
    Json,
    /// As it is.
    Parquet,
}

#[derive(Debug, Args)]
pub(crate) struct FitArgs {
    #[command(subcommand)]
    pub(crate) command: FitCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FitCommand {
    /// Predict the compression ratio of a size at a training step, with its 95 % bootstrap interval.
    Predict(PredictArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// Parameters P, counted as each fit counts them.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) params: f64,
    /// Training step S.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) step: f64,
    /// Only fits of this modality.
    #[arg(long, value_name = "NAME")]
    pub(crate) modality: Option<String>,
    /// Only fits of this protocol.
    #[arg(long, value_name = "NAME")]
    pub(crate) protocol: Option<String>,
    /// Only fits of this law.
    #[arg(long, value_name = "NAME")]
    pub(crate) law: Option<String>,
    /// Only fits with parameters counted so: nominal, total, non-embedding.
    #[arg(long, value_name = "NAME")]
    pub(crate) convention: Option<String>,
    /// The stage with the fits, if there are several.
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) stage: Option<String>,
    /// Print one JSON object per fit.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Remove what is damaged, so that the next run makes it again.
    #[arg(long)]
    pub(crate) repair: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// Runs of each pipeline file, profile and --set whose results stay; runs with a name always stay.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) keep_runs: usize,
    /// Let go of runs with --set that have no name.
    #[arg(long)]
    pub(crate) no_sets: bool,
    /// Most bytes that may stay; what is cheapest to make again per byte goes first.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_size: Option<u64>,
    /// Say what would be freed and stop.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

fn size(text: &str) -> Result<u64, String> {
    cpipe_engine::policy::parse_bytes(text)
        .ok_or_else(|| format!("expected a size such as 500MB or 20GiB, found `{text}`"))
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Sources; without any, all but files on web servers.
    #[arg(value_name = "SOURCE")]
    pub(crate) sources: Vec<String>,
    /// Write the digests of local sources that have none into pipeline.yaml, too.
    #[arg(long)]
    pub(crate) pin: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
