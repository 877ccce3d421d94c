//! What is special about the host with an event loop.
