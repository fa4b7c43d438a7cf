//! The bytes of a TensorBoard event file: protocol buffers of `tensorflow.Event`, framed as TFRecords.
//!
//! A record is the length of its data (u64, little-endian), the length's masked CRC-32C, the data, and the
//! data's masked CRC-32C (TensorFlow's `record_writer.cc`). Only the fields that are written here are known.

/// Data framed as one record.
pub(super) fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), data, &masked(data)].concat()
}

/// A CRC-32C as TFRecords state it: rotated and shifted, so that a checksum of checksums is none.
fn masked(data: &[u8]) -> [u8; 4] {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// CRC-32C (Castagnoli), reflected polynomial 0x82F63B78.
fn crc32c(data: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    !data.iter().fold(!0, step)
}

static TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0x82f6_3b78 } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};

/// A field of a message: its number and its value.
pub(super) enum Field<'a> {
    /// A double.
    Double(u32, f64),
    /// A float.
    Float(u32, f32),
    /// An int64 that is not negative.
    Integer(u32, u64),
    /// Bytes, text, or a message.
    Bytes(u32, &'a [u8]),
}

/// A message of fields in order.
pub(super) fn message(fields: &[Field<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        match field {
            Field::Integer(number, value) => {
                varint(&mut bytes, u64::from(number << 3));
                varint(&mut bytes, *value);
            }
            Field::Double(number, value) => {
                varint(&mut bytes, u64::from(number << 3 | 1));
                bytes.extend(value.to_le_bytes());
            }
            Field::Bytes(number, value) => {
                varint(&mut bytes, u64::from(number << 3 | 2));
                varint(&mut bytes, value.len() as u64);
                bytes.extend(*value);
            }
            Field::Float(number, value) => {
                varint(&mut bytes, u64::from(number << 3 | 5));
                bytes.extend(value.to_le_bytes());
            }
        }
    }
    bytes
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4, and the check value of the Castagnoli polynomial.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn fields_are_encoded_as_protocol_buffers_are() {
        // 150 as field 1, from the documentation of the encoding.
        assert_eq!(message(&[Field::Integer(1, 150)]), [0x08, 0x96, 0x01]);
        assert_eq!(message(&[Field::Bytes(2, b"testing")]), [&[0x12, 0x07][..], b"testing"].concat());
        assert_eq!(message(&[Field::Float(2, 1.0)]), [0x15, 0, 0, 0x80, 0x3f]);
    }
}
