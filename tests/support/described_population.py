"""What the job `train` writes of its clients, made up."""

POPULATION = {
  'utterances': {'train': 90, 'heldout_speakers': 7, 'heldout_utterances': 3},
  'speakers': {'train': 3, 'heldout_speakers': 1, 'heldout_utterances': 2},
  'dropped_transcripts': 4,
  'problems': {'silent': 5, 'too long': 1},
  'durations': {'edges': [0.0, 1.0, 3.0], 'counts': [60, 30]},
  'num_clients': 5,
  'symbols': [' ', 'a', '\u0928'],
  'labels': [50, 30, 20],
  'clients': [
    {'name': 'one', 'utterances': 50, 'seconds': 9.0, 'labels': [25, 15, 10]},
    {
      'name': 'two' * 50,
      'utterances': 40,
      'seconds': 11.0,
      'labels': [0, 40, 0],
    },
  ],
  'layout': {
    'num_devices': 2,
    'num_blocks': 3,
    'block_size': 4,
    'num_steps': 6,
    'batch_size': 8,
    'frame_buckets': [100, 240],
    'num_labels': 9,
  },
}
