//! What goes over the socket between a session and its child: numbers, texts and tensors, in the byte order
//! of the machine that both run on.
//!
//! A child may be out of its mind, so a length that it states is a bound on what is read, and memory is given to it
//! as it comes, [`CHUNK`] by [`CHUNK`].

use std::io::{self, Read, Write};

use bytemuck::Pod;
use ndarray::{ArrayD, ArrayViewD, IxDyn};

/// The most axes of a tensor.
const MOST_AXES: u64 = 64;
/// The most elements that are made room for before they are there.
const CHUNK: usize = 1 << 18;

pub fn put_number(to: &mut dyn Write, number: u64) -> io::Result<()> {
    to.write_all(&number.to_ne_bytes())
}

pub fn number(from: &mut dyn Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

pub fn put_bytes(to: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    put_number(to, bytes.len() as u64)?;
    to.write_all(bytes)
}

pub fn bytes(from: &mut dyn Read) -> io::Result<Vec<u8>> {
    let length = number(from)?;
    exactly(from, usize::try_from(length).map_err(|_| io::ErrorKind::InvalidData)?)
}

fn exactly<T: Pod>(from: &mut dyn Read, count: usize) -> io::Result<Vec<T>> {
    let mut values = Vec::new();
    while values.len() < count {
        let had = values.len();
        values.resize(had + CHUNK.min(count - had), T::zeroed());
        from.read_exact(bytemuck::cast_slice_mut(&mut values[had..]))?;
    }
    Ok(values)
}

pub fn text(from: &mut dyn Read) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&bytes(from)?).into_owned())
}

pub fn put_tensor(to: &mut dyn Write, tensor: &ArrayViewD<'_, f32>) -> io::Result<()> {
    put_number(to, tensor.ndim() as u64)?;
    tensor.shape().iter().try_for_each(|&size| put_number(to, size as u64))?;
    let ordered = tensor.as_standard_layout();
    to.write_all(bytemuck::cast_slice(ordered.as_slice().unwrap_or_default()))
}

pub fn tensor(from: &mut dyn Read) -> io::Result<ArrayD<f32>> {
    let nonsense = || io::Error::from(io::ErrorKind::InvalidData);
    let axes = Some(number(from)?).filter(|&axes| axes <= MOST_AXES).ok_or_else(nonsense)?;
    let shape: Vec<usize> = (0..axes).map(|_| Ok(number(from)? as usize)).collect::<io::Result<_>>()?;
    let count = shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
    let values = exactly(from, count.ok_or_else(nonsense)?)?;
    ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|_| nonsense())
}

pub fn put_tensors(to: &mut dyn Write, tensors: &[ArrayD<f32>]) -> io::Result<()> {
    put_number(to, tensors.len() as u64)?;
    tensors.iter().try_for_each(|tensor| put_tensor(to, &tensor.view()))
}

pub fn tensors(from: &mut dyn Read) -> io::Result<Vec<ArrayD<f32>>> {
    let count = number(from)?;
    (0..count).map(|_| tensor(from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_arrive_as_they_were_sent() {
        let square = ArrayD::from_shape_fn(IxDyn(&[2, 3]), |at| at[0] as f32 - at[1] as f32 / 3.0);
        let sent = vec![
            square.clone(),
            square.reversed_axes(),
            ArrayD::zeros(IxDyn(&[])),
            ArrayD::zeros(IxDyn(&[0, 4])),
            ArrayD::from_shape_fn(IxDyn(&[2 * CHUNK + 3]), |at| at[0] as f32),
        ];
        let mut wire = Vec::new();
        put_tensors(&mut wire, &sent).unwrap();
        assert_eq!(tensors(&mut wire.as_slice()).unwrap(), sent);
    }

    #[test]
    fn a_length_that_is_not_there_is_an_error_and_no_allocation() {
        for claim in [[u64::MAX, 0, 0], [2, u64::MAX, u64::MAX], [1, 1 << 60, 0], [65, 1, 1]] {
            let wire: Vec<u8> = claim.iter().flat_map(|number| number.to_ne_bytes()).collect();
            assert!(tensor(&mut wire.as_slice()).is_err());
            assert!(bytes(&mut wire.as_slice()).is_err() || claim[0] <= 16);
        }
    }
}
