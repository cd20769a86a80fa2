use std::fmt::Write;

use cpipe_analysis::predict::{self, Predicted, Query};
use petgraph::graph::NodeIndex;

use super::cat;
use crate::cli::{FitArgs, FitCommand, PipelineArgs, PredictArgs};
use crate::error::{CliError, Kind};
use crate::session::Session;

pub(crate) fn fit(pipeline: &PipelineArgs, args: &FitArgs) -> Result<u8, CliError> {
    match &args.command {
        FitCommand::Predict(args) => predict(pipeline, args),
    }
}

fn predict(pipeline: &PipelineArgs, args: &PredictArgs) -> Result<u8, CliError> {
    let session = Session::open(pipeline)?;
    let index = fit_node(&session, args.stage.as_deref())?;
    let node = session.pipeline.graph.dag[index].label();
    let manifest = session.manifest(index)?;
    let path = |output: &str| cat::blob_path(&session, &manifest, node, output);
    let query = Query {
        params: args.params,
        step: args.step,
        modality: args.modality.clone(),
        protocol: args.protocol.clone(),
        law: args.law.clone(),
        convention: args.convention.as_ref().map(|c| c.replace('_', "-")),
    };
    let predicted = predict::predict(&path("laws.json")?, &path("draws.parquet")?, &query)
        .map_err(|e| CliError::new(Kind::Usage, &e.to_string(), None))?;
    let text = if args.json {
        let lines = predicted.iter().map(serde_json::to_string);
        let lines: Vec<String> = lines
            .collect::<Result<_, _>>()
            .expect("rows are plain data");
        lines.join("\n") + "\n"
    } else {
        warn(&predicted);
        table(&predicted)
    };
    super::print(&text)?;
    Ok(0)
}

/// The node of the named stage, or of the only one of kind `fit`.
fn fit_node(session: &Session, stage: Option<&str>) -> Result<NodeIndex, CliError> {
    if let Some(stage) = stage {
        return session.single(stage);
    }
    let dag = &session.pipeline.graph.dag;
    let fits: Vec<NodeIndex> = dag
        .node_indices()
        .filter(|i| dag[*i].work.id().name == "fit")
        .collect();
    match fits.as_slice() {
        [index] => Ok(*index),
        [] => {
            let message = "this pipeline has no stage of kind `fit`";
            Err(CliError::new(Kind::Usage, message, None))
        }
        [first, ..] => {
            let message = format!("there are {} nodes of kind `fit`", fits.len());
            let hint = format!("name one with --stage, such as `{}`", dag[*first].label());
            Err(CliError::new(Kind::Usage, &message, Some(&hint)))
        }
    }
}

/// Each way of being outside the data, once.
#[expect(clippy::print_stderr, reason = "warnings are talk, not data")]
fn warn(predicted: &[Predicted]) {
    let mut told: Vec<&String> = predicted.iter().flat_map(|p| &p.outside).collect();
    told.sort();
    told.dedup();
    for outside in told {
        eprintln!("warning: extrapolated: {outside}");
    }
}

fn table(predicted: &[Predicted]) -> String {
    let mut text = format!(
        "{:<10} {:<10} {:<14} {:<12} {:>8}  95 % interval\n",
        "modality", "protocol", "P", "law", "CR"
    );
    for row in predicted {
        let Predicted {
            modality,
            protocol,
            convention,
            law,
            ratio,
            lo,
            hi,
            outside,
        } = row;
        let mark = if outside.is_empty() {
            ""
        } else {
            "  extrapolated"
        };
        writeln!(
            text,
            "{modality:<10} {protocol:<10} {convention:<14} {law:<12} {ratio:>8.4}  [{lo:.4}, {hi:.4}]{mark}"
        )
        .expect("writing to a string does not fail");
    }
    text
}
