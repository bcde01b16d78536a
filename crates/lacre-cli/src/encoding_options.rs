//! How new entries are written down, for the commands that write some. Whatever is chosen here, every command reads all of it.

use clap::ValueEnum;
use lacre::Builder;
use lacre::codec::{Bson, Cbor, Json, MessagePack, Yaml};
use lacre::stage::{Brotli, Gzip, Lz4, Zstd};

#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "How new entries are written")]
pub(crate) struct EncodingOptions {
    /// The format of all but the body; with --suite signed, `json` and `yaml` are readable as they lie in the store
    #[arg(long, value_name = "FORMAT", default_value = "cbor")]
    format: Format,
    /// How bodies are compressed
    #[arg(long, value_name = "HOW", default_value = "none")]
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
