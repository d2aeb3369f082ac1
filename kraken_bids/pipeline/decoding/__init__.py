"""What decoding of trials has in common, whatever decodes them: folds, peers, tables."""
