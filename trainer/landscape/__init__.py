"""Measurements of trained runs, from their folders: loss surfaces, Hessians, bands over sibling runs."""
