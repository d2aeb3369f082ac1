"""The act of training: subjects are split, transforms fitted, epochs run and judged."""
