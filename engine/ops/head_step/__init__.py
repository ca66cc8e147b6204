"""One token in one head: decay, iclr, gates, the wkv state's step, its group norm, the bonus and the gate."""
