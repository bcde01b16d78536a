//! The options for encoding new entries. Every command reads every encoding.

use clap::ValueEnum;
use lacre::Builder;
use lacre::codec::{Bson, Cbor, Json, MessagePack, Yaml};
use lacre::stage::{Brotli, Gzip, Lz4, Zstd};

#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Encoding of new entries")]
pub(crate) struct EncodingOptions {
    /// Format of everything but the body. With --suite signed, `json` and `yaml` are readable in
    /// the store
    #[arg(long, value_name = "FORMAT", default_value = "cbor")]
    format: Format,
    /// Compression of bodies
    #[arg(long, value_name = "METHOD", default_value = "none")]
    compress: Compression,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Cbor,
    Json,
    Yaml,
    Msgpack,
    Bson,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Compression {
    None,
    Zstd,
    Gzip,
    Lz4,
    Brotli,
}

impl EncodingOptions {
    pub(crate) fn apply(self, builder: Builder) -> Builder {
        let builder = match self.format {
            Format::Cbor => builder.format(Cbor),
            Format::Json => builder.format(Json),
            Format::Yaml => builder.format(Yaml),
            Format::Msgpack => builder.format(MessagePack),
            Format::Bson => builder.format(Bson),
        };
        match self.compress {
            Compression::None => builder,
            Compression::Zstd => builder.stage(Zstd),
            Compression::Gzip => builder.stage(Gzip),
            Compression::Lz4 => builder.stage(Lz4),
            Compression::Brotli => builder.stage(Brotli),
        }
    }
}
