//! Cache keys, and the results they lead to.
