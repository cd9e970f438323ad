"""Likelihoods: how probable a model finds data, as bounds and along its flow."""
