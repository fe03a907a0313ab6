// The light of the studio, a set of soft boxes and a sky, and what a surface of the face returns of it.
//
// A soft box is a spherical Gaussian, radiance * exp(sharpness * (dot(d, axis) - 1)) (Wang et al., "All-frequency
// rendering of dynamic, spatially-varying reflectance", SIGGRAPH Asia 2009). Its reflection in a rough surface is again
// one, which makes soft lights as cheap as points. The Fresnel term is Schlick's. An exponential is drawn as a 16th power,
// (1 + x/16)^16, which is cheaper on a processor and looks the same.
//
// `eva_sim/rendering/studio_light.py` writes what is constant above this text: a processor that draws computes both sides of
// a branch, and loads uniforms slowly. BOXES lights have axes AXIS, of which the first is the key light's, and send back the
// light DIFFUSE from a white surface that faces them. SURFACE and CLEAR_COAT are their reflections: radiance, and a 16th of
// the sharpness. WRAP and WRAPPED are factor and offset of the cosine in red, green and blue. COAT and GLINT are the
// strengths of the clear coat and of the lights' own reflection in a wet surface.
const float REFLECTANCE = 0.04;  // of silicone, glass and water, seen straight on

vec3 ambient(vec3 d) {
  return mix(FLOOR, SKY, 0.5 + 0.5 * d.y);
}

float lobe(float sharpness, float cosine) {
  float x = max(sharpness * (cosine - 1.0) + 1.0, 0.0);
  x *= x;
  x *= x;
  x *= x;
  return x * x;
}

vec3 reflection(const vec4 lobes[BOXES], vec3 d, float lit) {
  vec3 sum = ambient(d) * 0.55;
  for (int i = 0; i < BOXES; i++)
    sum += lobes[i].rgb * (lobe(lobes[i].a, dot(d, AXIS[i])) * (i == 0 ? lit : 1.0));
  return sum;
}

vec3 irradiance(vec3 n, float open, float lit, vec3 albedo) {
  // A crease of bright skin is filled with light of its own colour.
  vec3 sum = ambient(n) * (open * 0.55) * mix(vec3(1.0), albedo, 1.0 - open), direct = vec3(0.0);
  for (int i = 0; i < BOXES; i++)
    direct += DIFFUSE[i] * max(vec3(0.0), dot(n, AXIS[i]) * WRAP + WRAPPED) * (i == 0 ? 0.25 + 0.75 * lit : 1.0);
  return sum + direct * (0.4 + 0.6 * open);
}

// Light that is mirrored towards `view`.
vec3 sheen(vec3 n, vec3 view, float open, float lit) {
  float facing = max(dot(n, view), 0.0), grazing = 1.0 - facing, fresnel = grazing * grazing;
  fresnel *= fresnel * grazing;
  vec3 mirrored = reflect(-view, n);
  // Less is reflected where the surroundings are hidden (Lagarde and de Rousiers, 2014).
  float unhidden = clamp((facing + open) * (facing + open) - 1.0 + open, 0.0, 1.0);
  vec3 light = reflection(SURFACE, mirrored, lit) * ((REFLECTANCE + 0.36 * fresnel) * 0.55);
  if (COAT > 0.0) light += reflection(CLEAR_COAT, mirrored, lit) * ((REFLECTANCE + 0.5 * fresnel) * (COAT * 0.4));
  light *= unhidden;
  if (GLINT > 0.0)
    light += GLINT * open * (2.6 * lit * smoothstep(0.972, 0.985, dot(mirrored, AXIS[0]))
                             + 0.25 * smoothstep(0.94, 0.97, dot(mirrored, AXIS[1])));
  return light;
}

// The colour in the picture: bright tones are compressed, as a camera does.
vec3 developed(vec3 light) {
  light = light * (1.0 + 0.12 * light) / (1.0 + 0.55 * light) * 1.18;
  return pow(light, vec3(1.0 / 2.2));
}
