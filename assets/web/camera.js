// The browser's own camera. Its pictures go to the server of this page, and nowhere else.

const CAMERA_WIDTH = 640, CAMERA_QUALITY = 0.9;

class PageCamera {
  // `sendPicture` takes a JPEG, an ArrayBuffer; `ready` says whether one can be sent now.
  constructor(sendPicture, ready) {
    [this.sendPicture, this.ready] = [sendPicture, ready];
    this.video = document.createElement("video");
    this.canvas = document.createElement("canvas");
    this.stream = null;
  }

  async start() {
    if (!navigator.mediaDevices) {
      throw new Error("This browser gives its camera only to pages of this computer: open http://127.0.0.1 there.");
    }
    this.stream = await navigator.mediaDevices.getUserMedia({video: {width: {ideal: CAMERA_WIDTH}}, audio: false});
    Object.assign(this.video, {muted: true, playsInline: true, srcObject: this.stream});
    await this.video.play();
    this.next();
  }

  stop() {
    if (this.stream) this.stream.getTracks().forEach((track) => track.stop());
    this.stream = null;
  }

  next() {
    if (this.stream) this.video.requestVideoFrameCallback(() => this.take());
  }

  // One picture at a time is encoded and sent, so that none waits.
  async take() {
    const {video, canvas} = this;
    if (this.ready() && document.visibilityState === "visible") {
      canvas.width = Math.min(CAMERA_WIDTH, video.videoWidth);
      canvas.height = Math.round(canvas.width * video.videoHeight / video.videoWidth);
      canvas.getContext("2d", {willReadFrequently: true}).drawImage(video, 0, 0, canvas.width, canvas.height);
      const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", CAMERA_QUALITY));
      if (blob && this.stream) this.sendPicture(await blob.arrayBuffer());
    }
    this.next();
  }
}
