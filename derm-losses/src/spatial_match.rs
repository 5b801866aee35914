use burn::tensor::Tensor;
use burn::tensor::module::adaptive_avg_pool2d;

/// The smaller height and the smaller width of two feature maps.
pub(crate) fn common_size(student: &Tensor<4>, teacher: &Tensor<4>) -> [usize; 2] {
    let [_, _, student_height, student_width] = student.dims();
    let [_, _, teacher_height, teacher_width] = teacher.dims();
    [student_height.min(teacher_height), student_width.min(teacher_width)]
}

/// Adaptive average pooling to `size` = [H, W], where the map is not of that size.
pub(crate) fn pooled(map: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let [_, _, height, width] = map.dims();
    if [height, width] == size { map } else { adaptive_avg_pool2d(map, size) }
}
