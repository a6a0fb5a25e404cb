//! Circles in a box, side by side: deterministic, the largest in the middle.

/// A rectangle by its upper left corner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// A circle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Circle {
    pub x: f64,
    pub y: f64,
    pub radius: f64,
}

/// The space between two circles.
const GAP: f64 = 1.5;
/// How many places are tried for one circle.
const TRIES: u32 = 700;
/// The angle between two tries: with the golden angle the tries cover a disc evenly (H. Vogel, 1979).
const TURN: f64 = 2.399_963_229_728_653;

/// Puts circles with these radii, the largest first, into the frame; one that finds no place is none.
pub(crate) fn pack(frame: Frame, radii: &[f64]) -> Vec<Option<Circle>> {
    let (middle_x, middle_y) = (frame.x + frame.width / 2.0, frame.y + frame.height / 2.0);
    let reach = (frame.width.hypot(frame.height)) / 2.0;
    let mut placed: Vec<Circle> = Vec::with_capacity(radii.len());
    // What found no place for a circle finds none for another of the same size.
    let mut too_large = f64::INFINITY;
    radii
        .iter()
        .map(|radius| {
            if *radius >= too_large {
                return None;
            }
            let place = (0..TRIES).find_map(|n| {
                let (n, all) = (f64::from(n), f64::from(TRIES));
                let (distance, angle) = (reach * (n / all).sqrt(), n * TURN);
                let circle = Circle {
                    x: middle_x + distance * angle.cos(),
                    y: middle_y + distance * angle.sin(),
                    radius: *radius,
                };
                fits(frame, &placed, circle).then_some(circle)
            });
            match place {
                Some(circle) => placed.push(circle),
                None => too_large = *radius,
            }
            place
        })
        .collect()
}

fn fits(frame: Frame, placed: &[Circle], circle: Circle) -> bool {
    let Circle { x, y, radius } = circle;
    x - radius >= frame.x
        && x + radius <= frame.x + frame.width
        && y - radius >= frame.y
        && y + radius <= frame.y + frame.height
        && placed.iter().all(|other| (other.x - x).hypot(other.y - y) >= other.radius + radius + GAP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn circles_lie_in_their_frame_and_never_overlap(mut radii in prop::collection::vec(2.0f64..30.0, 0..60)) {
            radii.sort_by(|a, b| b.total_cmp(a));
            let frame = Frame { x: 10.0, y: 20.0, width: 120.0, height: 100.0 };
            let packed = pack(frame, &radii);
            prop_assert_eq!(packed.len(), radii.len());
            let circles: Vec<Circle> = packed.into_iter().flatten().collect();
            for (i, a) in circles.iter().enumerate() {
                prop_assert!(a.x - a.radius >= 10.0 && a.x + a.radius <= 130.0);
                prop_assert!(a.y - a.radius >= 20.0 && a.y + a.radius <= 120.0);
                for b in &circles[i + 1..] {
                    prop_assert!((a.x - b.x).hypot(a.y - b.y) > a.radius + b.radius);
                }
            }
        }
    }
}
