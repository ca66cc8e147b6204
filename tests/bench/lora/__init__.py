"""LoRA on one card: our tuning beside flash-linear-attention's model with peft's LoRA, on the same weights.

    pip install flash-linear-attention==0.6.0 fla-core==0.6.0 einops peft transformers
    python -m tests.bench.lora RESULTS.jsonl FOLDER [row …]

FOLDER takes a random model of each size. Each contender is a process of its own that has loaded the model,
taken two steps and told their losses and its memory; then they take turns, some steps each. What is fed is
the same: rows as long as the context, of which the second half is learnt. The peer comes in two forms, with
its chunked head loss and with all logits at once; a row is held to the faster one. A finished row is
appended to the file and not measured again. `tiny` tries the script on a CPU, where fla has no kernels and is
left out.
"""
