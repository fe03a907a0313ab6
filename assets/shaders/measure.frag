#version 330
// Writes the label of the part, or the distance [m] where the label is zero.
in float distance;
uniform float label;
out float value;

void main() {
  value = label > 0.0 ? label : distance;
}
