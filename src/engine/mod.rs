//! What happens next: every state machine, without I/O, clock or randomness of its own.
