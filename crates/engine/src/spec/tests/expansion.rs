//! Expansion over axes and the edges between nodes.

use std::fmt::Write;
use std::time::Instant;

use petgraph::visit::EdgeRef;
use proptest::prelude::*;

use super::{loaded, nodes};
use crate::spec::Pipeline;

const FAN: &str = "
version: 1
matrix: { model: [s, l], step: [1, 2], modality: [text, image] }
stages:
  plot: { needs: { inputs: 'score:out.txt' }, run: { join: {} }, export: . }
  score: { over: [model, modality, step], needs: { inputs: weights }, run: { join: {} }, export: 'x/${model}/${modality}${step}' }
  weights: { over: [model, step], run: { make: {} } }
";

fn labels(pipeline: &Pipeline, indices: &[petgraph::graph::NodeIndex]) -> Vec<String> {
    let dag = &pipeline.graph.dag;
    let labels = indices.iter().map(|index| dag[*index].label().to_owned());
    labels.collect()
}

#[test]
fn nodes_stand_in_topological_then_matrix_order() {
    let pipeline = loaded(FAN);
    let all: Vec<_> = pipeline.graph.dag.node_indices().collect();
    let labels = labels(&pipeline, &all);
    assert_eq!(labels.len(), 4 + 8 + 1);
    assert_eq!(labels[1], "weights[model=s,step=2]");
    assert_eq!(labels[4], "score[model=s,modality=text,step=1]");
    assert_eq!(labels[5], "score[model=s,modality=text,step=2]");
    assert_eq!(labels[12], "plot");
    let score = &pipeline.graph.dag[all[5]];
    assert_eq!(score.export.as_deref(), Some("x/s/text2"));
    for edge in pipeline.graph.dag.edge_references() {
        assert!(edge.source() < edge.target());
    }
}

#[test]
fn neighbours_are_found_both_ways() {
    let pipeline = loaded(FAN);
    let graph = &pipeline.graph;
    let pick = |text: &str| graph.select(&[text.to_owned()]).unwrap();
    let plot = pick("plot")[0];
    let inputs = graph.inputs(plot);
    assert_eq!(inputs.len(), 8);
    assert_eq!(inputs[0].1.output.as_deref(), Some("out.txt"));
    let weights = pick("weights[model=l,step=2]");
    let scores = graph.dependants(weights[0]);
    let expected = [
        "score[model=l,modality=text,step=2]",
        "score[model=l,modality=image,step=2]",
    ];
    assert_eq!(labels(&pipeline, &scores), expected);
    let closure = graph.ancestors(&scores);
    assert_eq!(closure.len(), 3);
    assert_eq!(closure[0], weights[0]);
}

#[test]
fn selectors_pick_nodes_or_say_what_there_is() {
    let pipeline = loaded(FAN);
    let pick = |text: &str| {
        let found = pipeline.graph.select(&[text.to_owned()]);
        found.map(|found| found.len())
    };
    assert_eq!(pick("score"), Ok(8));
    assert_eq!(pick("score[modality=t*]"), Ok(4));
    assert_eq!(pick("*[model=s]"), Ok(6));
    let messages = [
        "scroe",
        "score[modle=s]",
        "score[model=x]",
        "score[model",
        "plot[model=s]",
    ]
    .map(|text| pick(text).unwrap_err());
    insta::assert_snapshot!(messages.join("\n"));
}

fn text_of(lengths: &[usize], ups: &[usize], downs: &[usize]) -> String {
    let mut text = "version: 1\nmatrix:\n".to_owned();
    for (axis, length) in lengths.iter().enumerate() {
        let values: Vec<usize> = (0..*length).collect();
        let _ = writeln!(text, "  x{axis}: {values:?}");
    }
    let over = |axes: &[usize]| {
        let names: Vec<String> = axes.iter().map(|axis| format!("x{axis}")).collect();
        names.join(", ")
    };
    let _ = writeln!(
        text,
        "stages:\n  up: {{ over: [{}], run: {{ make: {{}} }} }}",
        over(ups)
    );
    let _ = writeln!(
        text,
        "  down: {{ over: [{}], needs: {{ inputs: up }}, run: {{ join: {{}} }} }}",
        over(downs)
    );
    text
}

fn axes() -> impl Strategy<Value = Vec<usize>> {
    proptest::sample::subsequence(vec![0usize, 1, 2, 3], 0..=4).prop_shuffle()
}

proptest! {
    #[test]
    fn edges_join_exactly_the_cells_that_agree(
        lengths in proptest::collection::vec(1usize..4, 4),
        ups in axes(),
        downs in axes(),
    ) {
        let pipeline = loaded(&text_of(&lengths, &ups, &downs));
        let dag = &pipeline.graph.dag;
        let count = |axes: &[usize]| axes.iter().map(|axis| lengths[*axis]).product::<usize>();
        prop_assert_eq!(dag.node_count(), count(&ups) + count(&downs));
        let mut expected = 0;
        for up in dag.node_indices().filter(|i| dag[*i].stage == "up") {
            for down in dag.node_indices().filter(|i| dag[*i].stage == "down") {
                let agree = dag[up].cell.agrees_with(&dag[down].cell);
                prop_assert_eq!(dag.contains_edge(up, down), agree);
                expected += usize::from(agree);
            }
        }
        prop_assert_eq!(dag.edge_count(), expected);
    }
}

#[test]
fn a_hundred_thousand_nodes_expand_in_seconds() {
    let values: Vec<String> = (0..25_000).map(|value| value.to_string()).collect();
    let mut text = format!(
        "version: 1\nmatrix: {{ x: [{}] }}\nstages:\n",
        values.join(", ")
    );
    text += "  s0: { over: [x], run: { make: { count: '${x}' } } }\n";
    for stage in 1..4 {
        let _ = writeln!(
            text,
            "  s{stage}: {{ over: [x], needs: {{ input: s{} }}, run: {{ copy: {{}} }} }}",
            stage - 1
        );
    }
    let start = Instant::now();
    let pipeline = loaded(&text);
    assert_eq!(pipeline.graph.dag.node_count(), 100_000);
    assert_eq!(pipeline.graph.dag.edge_count(), 75_000);
    // About 0.3 s; the bound only tells linear from quadratic on a busy machine.
    assert!(start.elapsed().as_secs() < 20);
}

#[test]
fn a_long_chain_of_stages_is_ordered_in_seconds() {
    let mut text = "version: 1\nstages:\n".to_owned();
    for stage in (1..20_000).rev() {
        let _ = writeln!(
            text,
            "  s{stage}: {{ needs: {{ input: s{} }}, run: {{ copy: {{}} }} }}",
            stage - 1
        );
    }
    text += "  s0: { run: { make: {} } }\n";
    let start = Instant::now();
    let pipeline = loaded(&text);
    let labels = nodes(&pipeline);
    assert!(labels[0].starts_with("s0 ") && labels[19_999].starts_with("s19999 "));
    assert!(start.elapsed().as_secs() < 20);
}
