"""Applications for people; nothing in the other rooms imports them.

The widgets need anywidget. What they do is in `pose_studio.studio` and `user_study.study`, which
need no widget.
"""
