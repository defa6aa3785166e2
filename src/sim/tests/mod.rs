//! Whole engines in simulated worlds: what a user would see, and what every seed must bring.

mod swarm;
