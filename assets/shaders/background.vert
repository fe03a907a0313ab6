// One triangle over the whole picture, behind everything.
layout(location = 0) in vec2 corner;
out vec2 at;  // -1..1 in the picture

void main() {
  at = corner;
  gl_Position = vec4(corner, 0.999999, 1.0);
}
