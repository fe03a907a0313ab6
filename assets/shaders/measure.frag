// Writes the label of the part, of 255, or with DISTANCES how far it is along the viewing axis [m].
out float value;
#if DISTANCES
void main() {
  value = 1.0 / gl_FragCoord.w;
}
#else
flat in float part;  // label

void main() {
  value = part / 255.0;
}
#endif
