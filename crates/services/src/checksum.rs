//! Cyclic redundancy checks, by which services find what was damaged on the way. They protect from nobody who means harm.

/// CRC-32C (Castagnoli), as Google has it.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc(bytes, 0x82F6_3B78)
}

/// CRC-32 (IEEE 802.3), as S3 has it.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc(bytes, 0xEDB8_8320)
}

fn crc(bytes: &[u8], polynomial: u32) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { polynomial ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_the_catalogue() {
        // The check values of the catalogue of CRCs.
        assert_eq!((crc32c(b"123456789"), crc32c(b"")), (0xE306_9283, 0));
        assert_eq!((crc32(b"123456789"), crc32(b"")), (0xCBF4_3926, 0));
    }
}
