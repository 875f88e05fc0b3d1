// k6 as the client: JSON and raw binary requests, checks on every answer, a threshold on all checks.
import { check } from 'k6';
import http from 'k6/http';

export const options = {
  scenarios: {
    closed: { executor: 'constant-vus', vus: 8, duration: '2s' },
    open: { executor: 'constant-arrival-rate', rate: 200, timeUnit: '1s', duration: '2s',
            preAllocatedVUs: 8, startTime: '2s' },
  },
  thresholds: { checks: ['rate==1'], http_req_failed: ['rate==0'] },
};

const url = `${__ENV.AT}/v2/models/scale/infer`;
const body = JSON.stringify({
  inputs: [{ name: 'x', shape: [1, 4], datatype: 'FP32', data: [1, 2, 3, 4] }],
});
const raw = new Float32Array([1, 2, 3, 4]).buffer;
const json = { headers: { 'Content-Type': 'application/json' } };
const octets = {
  headers: { 'Content-Type': 'application/octet-stream', 'Inference-Header-Content-Length': '0' },
  responseType: 'binary',
};

export default function () {
  const a = http.post(url, body, json);
  check(a, { json: (r) => r.status === 200 && r.json('outputs.0.data.3') === 12 });
  const b = http.post(url, raw, octets);
  check(b, {
    binary: (r) => {
      const n = Number(r.headers['Inference-Header-Content-Length']);
      return r.status === 200 && new Float32Array(r.body.slice(n))[3] === 12;
    },
  });
  check(http.get(`${__ENV.AT}/v2/health/ready`), { ready: (r) => r.json('ready') === true });
}
