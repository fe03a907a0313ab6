// Projects a vertex.
layout(location = 0) in vec3 position;  // in the world [m]
#if !DISTANCES
layout(location = 1) in float label;
flat out float part;
#endif
layout(std140) uniform View {
  mat4 projection;  // clip space from world
  vec3 eye;  // place of the camera [m]
  float strength;  // of all light
};

void main() {
#if !DISTANCES
  part = label;
#endif
  gl_Position = projection * vec4(position, 1.0);
}
