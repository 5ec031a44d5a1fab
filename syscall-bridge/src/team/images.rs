//! Images: what the runtime loader has told of the files that it mapped.

use std::collections::BTreeMap;

use crate::abi::structs::{ExtendedImageInfo, ImageInfo};
use crate::abi::{Status, SysResult};
use crate::args::ImageId;

/// Kind of the image that is the program.
pub const B_APP_IMAGE: i32 = 1;
/// Kind of images of the system's own.
pub const B_SYSTEM_IMAGE: i32 = 4;

/// All images of the team.
#[derive(Clone, Debug, Default)]
pub struct Images {
    table: BTreeMap<i32, ExtendedImageInfo>,
    last_id: i32,
}

impl Images {
    /// Adds an image and gives it an id.
    pub fn add(&mut self, mut info: ExtendedImageInfo) -> ImageId {
        self.last_id += 1;
        info.basic_info.id = self.last_id;
        self.table.insert(self.last_id, info);
        ImageId(self.last_id)
    }

    /// Forgets an image.
    pub fn remove(&mut self, id: ImageId) -> SysResult<ImageInfo> {
        self.table.remove(&id.0).map(|i| i.basic_info).ok_or(Status::B_BAD_IMAGE_ID)
    }

    /// Describes an image.
    pub fn get(&self, id: ImageId) -> SysResult<ImageInfo> {
        self.table.get(&id.0).map(|i| i.basic_info).ok_or(Status::B_BAD_IMAGE_ID)
    }

    /// The image after the `cookie`th, which starts at zero.
    pub fn next(&self, cookie: &mut i32) -> SysResult<ImageInfo> {
        let index = usize::try_from(*cookie).map_err(|_| Status::B_BAD_VALUE)?;
        let info = self.table.values().nth(index).ok_or(Status::B_ENTRY_NOT_FOUND)?;
        *cookie += 1;
        Ok(info.basic_info)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &ImageInfo> {
        self.table.values().map(|i| &i.basic_info)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// In a forked team the images have new ids, in the same order.
    pub fn renumber(&mut self) {
        for (_, info) in std::mem::take(&mut self.table) {
            self.add(info);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_listed_in_order_and_renumbered_by_a_fork() {
        let mut images = Images::default();
        let first = images.add(ExtendedImageInfo::default());
        let second = images.add(ExtendedImageInfo::default());
        assert_eq!((first, second), (ImageId(1), ImageId(2)));
        let mut cookie = 0;
        assert_eq!(images.next(&mut cookie).map(|i| i.id), Ok(1));
        assert_eq!(images.next(&mut cookie).map(|i| i.id), Ok(2));
        assert_eq!(images.next(&mut cookie), Err(Status::B_ENTRY_NOT_FOUND));
        assert_eq!(images.next(&mut -1), Err(Status::B_BAD_VALUE));
        images.renumber();
        assert_eq!(images.get(first), Err(Status::B_BAD_IMAGE_ID));
        assert_eq!(images.all().map(|i| i.id).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(images.remove(ImageId(3)).map(|i| i.id), Ok(3));
    }
}
