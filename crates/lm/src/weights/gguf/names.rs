//! What llama.cpp calls the tensors that Hugging Face's files have, for models of the Llama type.

/// (llama.cpp, Hugging Face) outside layers.
const WHOLE: [(&str, &str); 3] = [
    ("token_embd.weight", "model.embed_tokens.weight"),
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", "lm_head.weight"),
];

/// (llama.cpp, Hugging Face) within a layer.
const IN_LAYER: [(&str, &str); 10] = [
    ("attn_norm.weight", "input_layernorm.weight"),
    ("ffn_norm.weight", "post_attention_layernorm.weight"),
    ("attn_q.weight", "self_attn.q_proj.weight"),
    ("attn_k.weight", "self_attn.k_proj.weight"),
    ("attn_v.weight", "self_attn.v_proj.weight"),
    ("attn_output.weight", "self_attn.o_proj.weight"),
    ("ffn_gate.weight", "mlp.gate_proj.weight"),
    ("ffn_up.weight", "mlp.up_proj.weight"),
    ("ffn_down.weight", "mlp.down_proj.weight"),
    ("ffn_gate_inp.weight", "block_sparse_moe.gate.weight"),
];

/// Biases of Qwen2. Those of other models stand in another order, which is not supported.
const QWEN2_BIASES: [(&str, &str); 3] = [
    ("attn_q.bias", "self_attn.q_proj.bias"),
    ("attn_k.bias", "self_attn.k_proj.bias"),
    ("attn_v.bias", "self_attn.v_proj.bias"),
];

const EXPERTS: [(&str, &str); 3] = [
    ("ffn_gate_exps.weight", "w1"),
    ("ffn_up_exps.weight", "w3"),
    ("ffn_down_exps.weight", "w2"),
];

/// Hugging Face's name of a tensor; its own if there is none.
pub(super) fn of(name: &str, architecture: &str) -> String {
    let whole = WHOLE.iter().find(|(theirs, _)| *theirs == name);
    let known = match (whole, in_layer(name)) {
        (Some((_, ours)), _) => Some((*ours).to_owned()),
        (_, Some((layer, part))) => {
            let biases: &[_] = if architecture == "qwen2" {
                &QWEN2_BIASES
            } else {
                &[]
            };
            let mut all = IN_LAYER.iter().chain(biases);
            let found = all.find(|(theirs, _)| *theirs == part);
            found.map(|(_, ours)| format!("model.layers.{layer}.{ours}"))
        }
        _ => None,
    };
    known.unwrap_or_else(|| name.to_owned())
}

/// What a GGUF file calls the tensor of a name in Hugging Face's files; the name itself if it has none.
pub(super) fn in_file(name: &str) -> String {
    let whole = WHOLE.iter().find(|(_, ours)| *ours == name);
    let part = || {
        let (layer, part) = name.strip_prefix("model.layers.")?.split_once('.')?;
        let mut all = IN_LAYER.iter().chain(&QWEN2_BIASES);
        let found = all
            .find(|(_, ours)| *ours == part)
            .map(|(theirs, _)| *theirs);
        found
            .or_else(|| expert_in_file(part))
            .map(|theirs| format!("blk.{layer}.{theirs}"))
    };
    let found = whole.map(|(theirs, _)| (*theirs).to_owned());
    found.or_else(part).unwrap_or_else(|| name.to_owned())
}

/// The tensor of all experts that has one's.
fn expert_in_file(part: &str) -> Option<&'static str> {
    let (_, part) = part
        .strip_prefix("block_sparse_moe.experts.")?
        .split_once('.')?;
    let part = part.strip_suffix(".weight")?;
    let found = EXPERTS.iter().find(|(_, ours)| *ours == part)?;
    Some(found.0)
}

/// For a tensor of all experts of a layer: Hugging Face's name of each one's.
pub(super) fn of_experts(name: &str) -> Option<Box<dyn Fn(usize) -> String + '_>> {
    let (layer, part) = in_layer(name)?;
    let (_, ours) = EXPERTS.iter().find(|(theirs, _)| *theirs == part)?;
    Some(Box::new(move |expert| {
        format!("model.layers.{layer}.block_sparse_moe.experts.{expert}.{ours}.weight")
    }))
}

/// Heads of a tensor whose rows llama.cpp keeps in pairs: queries and keys of `llama`.
pub(super) fn paired(name: &str, architecture: &str, heads: [usize; 2]) -> Option<usize> {
    match (architecture, in_layer(name)?.1) {
        ("llama", "attn_q.weight") => Some(heads[0]),
        ("llama", "attn_k.weight") => Some(heads[1]),
        _ => None,
    }
}

/// (layer, rest) of `blk.LAYER.REST`.
fn in_layer(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("blk.")?.split_once('.')
}
