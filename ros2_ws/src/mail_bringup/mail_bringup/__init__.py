"""Describes, starts, supervises and operates the whole stack."""
