//! Tests of the client with the cache, against an origin on loopback.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod caching;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod options;
#[cfg(test)]
mod redirects;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tampering;
#[cfg(test)]
mod timeouts;
