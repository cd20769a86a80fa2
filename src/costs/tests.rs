//! The numbers of a plan against a calculation by hand.

use cpipe_data::scores::ModelFacts;
use serde_json::json;

use super::rates::{Device, Rate, nearest, rate_of};
use super::scoring::{Cells, Known, operations};
use super::shape::Shape;

/// Pythia's sizes by name: hidden, layers, and its parameters outside the embeddings and in all, as
/// they were published.
const PYTHIA: [(&str, u64, u64, u64, u64); 5] = [
    ("70m", 512, 6, 18_915_328, 70_426_624),
    ("160m", 768, 12, 85_056_000, 162_322_944),
    ("410m", 1024, 24, 302_311_424, 405_334_016),
    ("1b", 2048, 16, 805_736_448, 1_011_781_632),
    ("1.4b", 2048, 24, 1_208_602_624, 1_414_647_808),
];

fn shape(hidden: u64, layers: u64) -> Shape {
    let config = json!({
        "architectures": ["GPTNeoXForCausalLM"],
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "intermediate_size": 4 * hidden,
        "vocab_size": 50_304,
        "rotary_pct": 0.25,
    });
    Shape::read(config.to_string().as_bytes()).unwrap()
}

#[test]
fn parameters_are_those_that_were_published() {
    for (name, hidden, layers, non_embedding, total) in PYTHIA {
        let shape = shape(hidden, layers);
        assert_eq!(shape.non_embedding(), non_embedding, "{name}");
        // 410m and smaller have 50,304 rows as well.
        assert_eq!(shape.total(), total, "{name}");
    }
    assert_eq!(
        Shape::read(br#"{"architectures": ["LlamaForCausalLM"]}"#),
        None
    );
}

#[test]
fn memory_is_weights_and_what_is_worked_on() {
    let small = Known::Shape(shape(512, 6));
    // 70,426,624 x 2, and for each of two threads 2,048 tokens x (3 x 512 + 2,048) x 4 bytes.
    assert_eq!(small.memory(2), 140_853_248 + 2 * 29_360_128);
    // 70,426,624 x 4, 32,768 x 3,584 x 4, and 2,048 x 4,096 logits.
    assert_eq!(
        small.card_memory("f32"),
        281_706_496 + 469_762_048 + 33_554_432
    );
    let large = Known::Shape(shape(2048, 24));
    // 1,414,647,808 x 4, 32,768 x (6,144 + 8,192) x 4, logits.
    assert_eq!(
        large.card_memory("f32"),
        5_658_591_232 + 1_879_048_192 + 33_554_432
    );
}

#[test]
fn operations_are_those_of_every_weight_and_every_pair_of_tokens() {
    let model = Known::Shape(shape(512, 6));
    let score = json!({"protocols": ["paper", "full"]});
    let chunk = |decode: &str| json!({"count": 2048, "decode": decode});
    // 2 x (18,915,328 + 50,304 x 512) a token, and 4 x 6 x 512 for each one before it.
    let (weights, pair) = (89_341_952.0, 12_288.0);
    let full = |tokens: f64| 2048.0 * tokens * (weights + pair * tokens / 2.0);
    let close = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-12;
    assert!(close(
        operations(&model, &chunk("text"), &score),
        2.0 * full(576.0)
    ));
    let image = full(1024.0) + full(1486.0);
    assert!(close(operations(&model, &chunk("image"), &score), image));
    let speech = full(1024.0) + full(1972.0);
    assert!(close(operations(&model, &chunk("speech"), &score), speech));
    let one = json!({"protocols": [{"mine": {"preset": "full"}}]});
    assert!(close(operations(&model, &chunk("text"), &one), full(576.0)));
}

#[test]
fn a_rate_is_that_of_the_weights_that_take_part() {
    let facts = ModelFacts {
        architecture: "GPTNeoXForCausalLM".into(),
        params_total: 1200,
        params_non_embedding: 1000,
        context: 8,
        vocabulary: 10,
        dtype: "f32".into(),
    };
    // 1,100 weights, 50 tokens, 2 operations each, in 10 seconds.
    let rate = rate_of(Device::Core, &facts, 50.0, 10.0).unwrap();
    assert_eq!((rate.weights, rate.speed), (1100.0, 11_000.0));
    assert_eq!(rate_of(Device::Core, &facts, 50.0, 0.0), None);
    assert_eq!(rate_of(Device::Core, &facts, 0.0, 10.0), None);
}

fn rate(weights: f64, speed: f64) -> Rate {
    Rate {
        device: Device::Core,
        dtype: "f32".into(),
        weights,
        speed,
    }
}

#[test]
fn the_nearest_size_counts_if_it_is_near_enough() {
    let rates = [
        rate(1e6, 1.0),
        rate(1e8, 9.0),
        rate(1e8, 2.0),
        rate(1e8, 4.0),
    ];
    let found = |weights: f64| nearest(&rates, Device::Core, "f32", weights);
    assert_eq!(found(4e8), Some(&rates[3]));
    assert_eq!(found(2e6), Some(&rates[0]));
    assert_eq!(found(1.7e9), None);
    assert_eq!(nearest(&rates, Device::Card, "f32", 1e6), None);
    assert_eq!(nearest(&rates, Device::Core, "bf16", 1e6), None);
}

#[test]
fn a_plan_says_what_its_times_are_based_on() {
    let mut cells = Cells {
        model: Known::Shape(shape(512, 6)),
        dtype: "f32".into(),
        count: 2,
        operations: 1.92e14,
    };
    // 9.6e13 at 2 x 80e9 a second are 600 s, at 20e12 4.8 s.
    assert_eq!(
        cells.describe(&[], 2),
        "score: 2 cells of a model of 70.4 M parameters, each
  on 2 CPU cores: 0.20 GB of memory, 10.0 min (assuming 80 Gflop/s a core)
  on a GPU: 0.79 GB of its memory, 0.1 min (assuming 20000 Gflop/s)
"
    );
    let text = cells.describe(&[rate(4.5e7, 40e9)], 2);
    let basis = "20.0 min (as measured with 45.0 M weights: 40 Gflop/s a core)";
    assert!(text.contains(basis), "{text}");
    // What only cards compute has no time on the CPU.
    cells.dtype = "bf16".into();
    let text = cells.describe(&[], 2);
    assert!(!text.contains("CPU") && text.contains("0.64 GB"), "{text}");
}
