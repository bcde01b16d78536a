//! The client with the cache, against an origin on loopback.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod caching;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod origin;
#[cfg(test)]
mod redirects;
#[cfg(test)]
mod tampering;
#[cfg(test)]
mod timeouts;
#[cfg(test)]
mod wishes;
