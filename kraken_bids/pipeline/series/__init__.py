"""The act of learning from region series: pretraining, decoding, embedding."""
