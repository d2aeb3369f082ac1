"""The act of training: people are split, transforms fitted, epochs run and judged."""
