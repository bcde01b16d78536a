//! The layer around an origin of its own, by property.

#[cfg(test)]
mod caching;
#[cfg(test)]
mod herd;
#[cfg(test)]
mod origin;
#[cfg(test)]
mod refreshing;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod sharing;
#[cfg(test)]
mod streaming;
