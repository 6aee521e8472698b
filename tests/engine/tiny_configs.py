"""Configs of tiny models, one per way in which mlx-lm keeps a sequence."""

from typing import Any

CPU_SIZES: dict[str, Any] = {
    "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "num_attention_heads": 4,
    "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "vocab_size": 320, "head_dim": 32,
    "max_position_embeddings": 512, "rope_theta": 10000.0, "tie_word_embeddings": True,
}  # fmt: skip
_SIZES: dict[str, Any] = {
    "hidden_size": 64, "num_hidden_layers": 4, "intermediate_size": 96, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 100, "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0, "max_position_embeddings": 4096, "tie_word_embeddings": True,
    "attention_bias": False,
}  # fmt: skip
_ROPE = {"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 1024}
_LATENT = {**_SIZES, "num_key_value_heads": 4, "kv_lora_rank": 24, "q_lora_rank": 16,
           "qk_rope_head_dim": 8, "qk_nope_head_dim": 12, "v_head_dim": 20, "rope_scaling": _ROPE,
           "moe_intermediate_size": 32, "n_routed_experts": None,
           "first_k_dense_replace": 4}  # fmt: skip
_DELTA = {"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 16,
          "linear_value_head_dim": 8, "linear_conv_kernel_dim": 4,
          "partial_rotary_factor": 0.5}  # fmt: skip
_FLOAT32 = {"torch_dtype": "float32"}  # mlx's CPU experts know no other type
_MOE = {**_FLOAT32, "num_experts": 4, "num_experts_per_tok": 2, "decoder_sparse_step": 1,
        "mlp_only_layers": [], "moe_intermediate_size": 32,
        "shared_expert_intermediate_size": 32, "norm_topk_prob": True}  # fmt: skip
_MAMBA2 = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 12, "mamba_n_groups": 2,
           "mamba_d_conv": 4, "mamba_proj_bias": False, "mamba_conv_bias": True}  # fmt: skip
_WINDOWED = {**_SIZES, "sliding_window": 100}
_TWO_TO_TWO = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]
_GEMMA3N_TEXT = {
    **_WINDOWED, "model_type": "gemma3n_text", "num_kv_shared_layers": 2,
    "layer_types": _TWO_TO_TWO, "final_logit_softcapping": 30.0, "vocab_size_per_layer_input": 100,
    "activation_sparsity_pattern": [0.0] * 4, "hidden_size_per_layer_input": 8,
    "altup_num_inputs": 2, "altup_coef_clip": 120.0, "altup_correct_scale": True,
    "altup_active_idx": 0, "laurel_rank": 4, "rope_local_base_freq": 10000.0,
    "query_pre_attn_scalar": 16.0, "intermediate_size": [96] * 4,
}  # fmt: skip
_NEMOTRON = {
    **_SIZES, "hybrid_override_pattern": "M-*M*-", "num_hidden_layers": 6, "mamba_num_heads": 4,
    "mamba_head_dim": 16, "mamba_proj_bias": False, "ssm_state_size": 12, "conv_kernel": 4,
    "n_groups": 2, "mlp_bias": False, "layer_norm_epsilon": 1e-5, "use_bias": False,
    "use_conv_bias": True, "num_attention_heads": 4,
}  # fmt: skip

TINY_CONFIGS: dict[str, dict[str, Any]] = {
    "llama": _SIZES,
    "llama with windows": {**_WINDOWED, "model_type": "llama", "layer_types": _TWO_TO_TWO},
    "llama in 8 bits": {**_SIZES, "model_type": "llama", "head_dim": 64, "kv_bits": 8},
    "llama in 4 bits": {**_SIZES, "model_type": "llama", "head_dim": 128, "kv_bits": 4},
    "qwen2": {**_WINDOWED, "layer_types": _TWO_TO_TWO, "use_sliding_window": True},
    "qwen3": _SIZES,
    "gpt2": {"n_ctx": 1024, "n_embd": 64, "n_head": 4, "n_layer": 3, "n_positions": 1024,
             "layer_norm_epsilon": 1e-5, "vocab_size": 100},
    "gpt_bigcode": {"n_ctx": 1024, "n_embd": 64, "n_head": 4, "n_layer": 3, "n_positions": 1024,
                    "layer_norm_epsilon": 1e-5, "vocab_size": 100, "n_inner": 128,
                    "multi_query": True},
    "gemma2": {**_WINDOWED, "query_pre_attn_scalar": 16, "attn_logit_softcapping": 50.0,
               "final_logit_softcapping": 30.0},
    "gemma3_text": {**_WINDOWED, "sliding_window_pattern": 3, "rope_local_base_freq": 10000.0,
                    "rope_global_base_freq": 1e6, "query_pre_attn_scalar": 16},
    "gemma3": {"text_config": {**_WINDOWED, "model_type": "gemma3_text",
                               "num_hidden_layers": 7}, "vocab_size": 100},
    "gemma3n": {"text_config": _GEMMA3N_TEXT, "vocab_size": 100},
    "gemma4_text": {**_WINDOWED, "global_head_dim": 32, "num_kv_shared_layers": 2,
                    "layer_types": _TWO_TO_TWO, "vocab_size_per_layer_input": 100,
                    "hidden_size_per_layer_input": 8},
    "cohere2": {**_WINDOWED, "layer_norm_eps": 1e-5, "sliding_window_pattern": 4},
    "exaone4": {**_WINDOWED, "sliding_window_pattern": "LLG", "rope_scaling": None},
    "olmo3": {**_WINDOWED, "rope_scaling": None},
    "gpt_oss": {**_WINDOWED, **_FLOAT32, "num_local_experts": 4, "num_experts_per_tok": 2,
                "rope_scaling": None},
    "ministral3": {**_WINDOWED, "layer_types": _TWO_TO_TWO, "rope_parameters": {
        "rope_theta": 10000.0, "llama_4_scaling_beta": 0.1,
        "original_max_position_embeddings": 1024}},
    "deepseek_v2": {**_LATENT, "n_shared_experts": None},
    "deepseek_v3": _LATENT,
    "qwen3_next": {**_SIZES, **_DELTA, **_MOE},
    "qwen3_5": {"text_config": {**_SIZES, **_DELTA, "model_type": "qwen3_5_text",
                                "full_attention_interval": 2}},
    "olmo_hybrid": {**_SIZES, **_DELTA, "linear_allow_neg_eigval": True},
    "granitemoehybrid": {**_SIZES, **_MAMBA2, "embedding_multiplier": 1.0,
                         "attention_multiplier": 1.0, "logits_scaling": 1.0,
                         "residual_multiplier": 1.0, "shared_intermediate_size": 96,
                         "layer_types": ["mamba", "attention", "mamba", "mamba"]},
    "falcon_h1": {**_SIZES, **_MAMBA2, "mamba_d_ssm": 64},
    "nemotron_h": _NEMOTRON,
    "jamba": {**_SIZES, **_FLOAT32, "attn_layer_offset": 1, "attn_layer_period": 4,
              "expert_layer_offset": 1, "expert_layer_period": 2,
              "mamba_d_conv": 4, "mamba_d_state": 8, "mamba_expand": 2,
              "num_experts": 2, "num_experts_per_tok": 1, "head_dim": None},
    "mamba": {"hidden_size": 64, "intermediate_size": 128, "state_size": 8, "num_hidden_layers": 3,
              "conv_kernel": 4, "use_bias": False, "use_conv_bias": True, "time_step_rank": 4,
              "vocab_size": 100},
    "mamba2": {"num_heads": 8, "head_dim": 16, "vocab_size": 100, "hidden_size": 64,
               "intermediate_size": 128, "state_size": 12, "num_hidden_layers": 3,
               "layer_norm_epsilon": 1e-5, "conv_kernel": 4, "n_groups": 2, "use_bias": False,
               "use_conv_bias": True, "tie_word_embeddings": True,
               "time_step_limit": [0.0, 1e9], "time_step_rank": "auto"},
    "lfm2": {**_SIZES, "norm_eps": 1e-5, "conv_bias": False, "conv_L_cache": 3, "block_dim": 64,
             "block_multiple_of": 8, "block_ffn_dim_multiplier": 1.0, "head_dim": None,
             "block_auto_adjust_ff_dim": False, "full_attn_idxs": [1, 3]},
    "kimi_linear": {**_LATENT, "model_max_length": 4096, "num_experts": 0, "rope_scaling": None,
                    "linear_attn_config": {"num_heads": 4, "head_dim": 16, "kda_layers": [1, 2, 3],
                                           "full_attn_layers": [4], "short_conv_kernel_size": 4}},
    "bailing_moe_linear": {**_SIZES, **_MOE, "num_shared_experts": 1, "first_k_dense_replace": 4,
                           "layer_group_size": 3, "group_norm_size": 1},
    "recurrent_gemma": {**_SIZES, "conv1d_width": 4, "attention_window_size": 100, "head_dim": None,
                        "logits_soft_cap": 30.0, "num_key_value_heads": 1,
                        "block_types": ["recurrent", "attention"]},
    "rwkv7": {"vocab_size": 100, "hidden_size": 64, "intermediate_size": 128, "norm_eps": 1e-5,
              "head_dim": 16, "num_hidden_layers": 2, "a_low_rank_dim": 8, "v_low_rank_dim": 8,
              "gate_low_rank_dim": 8, "decay_low_rank_dim": 8},
    "plamo2": {**_SIZES, "hidden_size_per_head": 16, "mamba_d_state": 8, "mamba_d_conv": 4,
               "mamba_num_heads": 4, "mamba_step": 2},
    "mimo_v2_flash": {**_SIZES, "hybrid_layer_pattern": [0, 1, 1, 0], "moe_layer_freq": [0] * 4,
                      "sliding_window_size": 100, "moe_intermediate_size": 32,
                      "n_shared_experts": None, "n_routed_experts": 4, "num_experts_per_tok": 2,
                      "routed_scaling_factor": None, "topk_method": "noaux_tc",
                      "scoring_func": "sigmoid", "norm_topk_prob": True, "n_group": 1,
                      "topk_group": 1, "layernorm_epsilon": 1e-5, "swa_rope_theta": 1e4,
                      "swa_num_attention_heads": 4, "swa_num_key_value_heads": 4, "v_head_dim": 8,
                      "swa_head_dim": 16, "swa_v_head_dim": 8, "partial_rotary_factor": 0.5,
                      "add_swa_attention_sink_bias": True, "add_full_attention_sink_bias": False},
}  # fmt: skip
for _name, _config in TINY_CONFIGS.items():
    TINY_CONFIGS[_name] = {"model_type": _name, **_config}
