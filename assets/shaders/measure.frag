// Writes the label of the part, or with DISTANCES how far it is along the viewing axis [m].
out float value;
#if DISTANCES
void main() {
  value = 1.0 / gl_FragCoord.w;
}
#else
flat in float part;  // label

void main() {
  value = part;
}
#endif
