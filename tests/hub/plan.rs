//! `cpipe plan --profile pythia`: what the paper's study costs, before anything large is fetched.

use serde_json::json;

use crate::hub::{Files, Hub};
use crate::{Study, data, repository};

/// Each size: name, hidden size, layers, and bytes of its weights in f16.
const PYTHIA: [(&str, u64, u64, usize); 5] = [
    ("pythia-70m", 512, 6, 166_029_852),
    ("pythia-160m", 768, 12, 374_998_696),
    ("pythia-410m", 1024, 24, 911_362_200),
    ("pythia-1b", 2048, 16, 2_090_701_536),
    ("pythia-1.4b", 2048, 24, 2_930_050_624),
];
const STEPS: [u32; 5] = [1000, 8000, 32_000, 128_000, 143_000];

/// A hub that says of Pythia what the real one says, and has nothing in it.
fn hub(scratch: &Study) -> Hub {
    let hub = Hub::start();
    let mut tokenizer = data::files("tokenizer");
    tokenizer.retain(|name, _| name == "tokenizer.json");
    for (model, hidden, layers, size) in PYTHIA {
        let config = json!({
            "architectures": ["GPTNeoXForCausalLM"], "hidden_size": hidden, "num_hidden_layers": layers,
            "intermediate_size": 4 * hidden, "vocab_size": 50_304,
        });
        for step in STEPS {
            let mut files = Files::from([("config.json".to_owned(), config.to_string().into())]);
            files.insert("model.safetensors".into(), vec![0; 20_000]);
            if model == "pythia-70m" {
                files.extend(tokenizer.clone());
            }
            hub.push(
                "models",
                &format!("EleutherAI/{model}"),
                &format!("step{step}"),
                files,
            );
        }
        hub.claim(&format!("EleutherAI/{model}/model.safetensors"), size);
    }
    let table = data::table(&data::files("eval/image"), scratch.path("images.parquet"));
    let images = [("data/validation-00000-of-00014.parquet".to_owned(), table)];
    hub.push("datasets", "ILSVRC/imagenet-1k", "main", images.into());
    hub
}

#[test]
fn the_paper_costs_what_can_be_worked_out_by_hand() {
    let pipeline = std::fs::read_to_string(repository().join("pipeline.yaml")).unwrap();
    let study = Study::new("", &pipeline);
    let hub = hub(&study);
    let study = Study {
        endpoint: hub.server.url.clone(),
        ..study
    };
    study.run(&["update", "--profile", "pythia"]);
    assert_eq!(hub.server.sent("/store/"), 0);
    // Where it would not fit on the disk, the plan is told all the same.
    let done = study.cpipe(&["plan", "--profile", "pythia"]);
    assert!([0, 30].contains(&done.code), "{}", done.err);
    // 5 x the sizes above; the tokenizer, the pictures and the configurations are small.
    // They lie in the hub cache and in ours: twice, unless the disk lets copies share their blocks.
    let lines = ["64.73", "32.37"]
        .map(|disk| format!("downloads: 32.37 GB from 27 sources; disk: {disk} GB of "));
    assert!(
        lines.iter().any(|line| done.out.contains(line)),
        "{}",
        done.out
    );
    let line = "downloads: 2 sources are not in cpipe.lock";
    assert!(done.out.contains(line), "{}", done.out);
    // Weights in f32, 32,768 x (3 x hidden + 4 x hidden) x 4 bytes, and 34 MB of logits.
    for (parameters, card) in [
        ("70.4 M", "0.79 GB"),
        ("162.3 M", "1.39 GB"),
        ("405.3 M", "2.59 GB"),
        ("1011.8 M", "5.96 GB"),
        ("1414.6 M", "7.57 GB"),
    ] {
        let model = format!("score: 15 cells of a model of {parameters} parameters, each\n");
        let at = done
            .out
            .find(&model)
            .unwrap_or_else(|| panic!("{parameters}: {}", done.out));
        let lines: Vec<&str> = done.out[at..].lines().take(3).collect();
        let basis = "(assuming 80 Gflop/s a core)";
        assert!(lines[1].ends_with(basis), "{}", done.out);
        let on_card = format!("  on a GPU: {card} of its memory, ");
        assert!(lines[2].starts_with(&on_card), "{}", done.out);
    }
}
