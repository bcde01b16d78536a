//! Tests of the layer cached an origin that is a service.

#[cfg(test)]
mod caching;
#[cfg(test)]
mod coalescing;
#[cfg(test)]
mod composition;
#[cfg(test)]
mod origin;
#[cfg(test)]
mod refreshing;
#[cfg(test)]
mod sharing;
#[cfg(test)]
mod streaming;
