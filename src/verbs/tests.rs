//! Tests over the table of verbs: a new row is covered when it is born.
